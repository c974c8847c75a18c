//! Notifications of the session of the user whom the daemon runs as.

use std::time::Duration;

use notify_rust::{Notification, Urgency};

use super::Outgoing;
use super::retry::Outcome;
use crate::notify::message::Frame;

/// How long the session may take to answer.
const TIMEOUT: Duration = Duration::from_secs(5);

/// True when a session bus answers and somebody shows notifications on it.
pub async fn available() -> bool {
    let asked = tokio::task::spawn_blocking(|| notify_rust::get_server_information().is_ok());
    matches!(tokio::time::timeout(TIMEOUT, asked).await, Ok(Ok(true)))
}

pub(super) async fn send(out: &Outgoing, frame: &Frame) -> Outcome {
    let notification = notification(out, frame);
    let shown = tokio::task::spawn_blocking(move || match notification.show() {
        Ok(_) => Ok(()),
        Err(e) => Err(e.to_string()),
    });
    match tokio::time::timeout(TIMEOUT, shown).await {
        Ok(Ok(Ok(()))) => Outcome::Done,
        Ok(Ok(Err(error))) => Outcome::not_sent(format!("desktop: {error}")),
        Ok(Err(_)) => Outcome::unknown("desktop: the notification library failed".to_owned()),
        Err(_) => Outcome::unknown(format!(
            "desktop: no answer from the session in {} s",
            TIMEOUT.as_secs()
        )),
    }
}

fn notification(out: &Outgoing, frame: &Frame) -> Notification {
    let (title, body) = out.body.split_once('\n').unwrap_or((&out.body, ""));
    let mut body = body.to_owned();
    if let Some(note) = out.delivery.note(&out.id, frame) {
        body = format!("{body}\n{note}");
    }
    Notification::new()
        .appname("loadline")
        .summary(title)
        .body(&escape(&body))
        .urgency(if out.urgency >= 3 {
            Urgency::Critical
        } else {
            Urgency::Normal
        })
        .finalize()
}

/// The body may hold markup; ours holds none.
fn escape(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Timestamp;
    use crate::notify::message::Delivery;

    #[test]
    fn the_first_line_is_the_title_and_markup_is_text() {
        let out = Outgoing {
            id: "ll_0123456789abcdef".to_owned(),
            body: "Now: disk\n<b>x</b> & y".to_owned(),
            is_fallback: false,
            urgency: 3,
            at: Timestamp(0),
            delivery: Delivery {
                possible_repeat: true,
                late: None,
            },
        };
        let shown = notification(&out, &Frame::default());
        assert_eq!(shown.summary, "Now: disk");
        assert_eq!(
            shown.body,
            "&lt;b&gt;x&lt;/b&gt; &amp; y\n(possible repeat) ll_01234567"
        );
    }
}
