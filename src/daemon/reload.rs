//! SIGHUP: the whole new configuration, or the old one and why.

use super::plan::Plan;

/// Loads the plan again from the same file. An error keeps everything as it is.
pub(crate) fn load(old: &Plan) -> Result<Plan, String> {
    let new = Plan::load(old.file.as_deref()).map_err(|problems| problems.to_string())?;
    for (what, same) in [
        (
            "[server]",
            format!("{:?}", old.config.server) == format!("{:?}", new.config.server),
        ),
        (
            "[state]",
            format!("{:?}", old.config.state) == format!("{:?}", new.config.state),
        ),
        ("[query]", old.config.query == new.config.query),
        (
            "limits.memory",
            old.config.limits.memory == new.config.limits.memory,
        ),
    ] {
        if !same {
            return Err(format!(
                "{what} changed, which needs a restart; nothing of the new configuration is in force"
            ));
        }
    }
    Ok(new)
}
