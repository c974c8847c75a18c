//! What can be typed.

use std::path::PathBuf;

use clap::{Args as ClapArgs, Parser, Subcommand, ValueEnum};

use crate::config::Feature;

/// The address of the daemon's API when none is given.
pub(crate) const DEFAULT_URL: &str = "http://127.0.0.1:9797";

/// Watches a running system and names the one scaling step that comes next.
#[derive(Debug, Parser)]
#[command(name = "loadline", version, max_term_width = 80, after_help = EXIT_CODES)]
pub(crate) struct Args {
    #[command(subcommand)]
    pub(crate) command: Command,
}

const EXIT_CODES: &str =
    "Exit codes: 0 ok, 1 findings or failure, 2 usage, 78 bad configuration at start.";

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Watch, evaluate, advise and send until stopped
    Run(RunArgs),
    /// Look once and print what is watched, what hurts and the next step
    Once(LookArgs),
    /// Print the next step only
    Next(NextArgs),
    /// Ask the running daemon what it watches and what it said
    Status(StatusArgs),
    /// Ask the running daemon when each limit is reached
    Runway(StatusArgs),
    /// Say what the playbook knows of a sign or step; for a rule, ask the running daemon what
    /// each of its selectors finds
    Explain(ExplainArgs),
    /// Say what can be read of each Postgres server, and what would open the rest
    Doctor(DoctorArgs),
    /// Print where the system stands on the ladder of stages
    Stage(NextArgs),
    /// Print the next step as a page to read
    Report(ReportArgs),
    /// Check files without starting anything
    #[command(subcommand)]
    Check(CheckCommand),
    /// Run test scripts
    #[command(subcommand)]
    Test(TestCommand),
    /// Handle the shipped rules
    #[command(subcommand)]
    Rules(RulesCommand),
    /// Write a configuration
    #[command(subcommand)]
    Config(ConfigCommand),
    /// Print the version
    Version,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct RunArgs {
    /// Configuration file; without it this machine is watched as found
    #[arg(long, short, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    /// Folder of the state database; overrides [state] dir
    #[arg(long, value_name = "DIR")]
    pub(crate) state_dir: Option<PathBuf>,
    /// Address of the page and the API; overrides [server] listen
    #[arg(long, value_name = "ADDRESS")]
    pub(crate) listen: Option<String>,
    /// What is logged: error, warn, info, debug, or per module
    #[arg(long, value_name = "LEVEL")]
    pub(crate) log: Option<String>,
    /// How it is logged
    #[arg(long, value_enum, default_value_t = LogFormat::Text)]
    pub(crate) log_format: LogFormat,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct LookArgs {
    /// Configuration file; with it the daemon is not asked
    #[arg(long, short, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    /// Address of a running daemon
    #[arg(long, value_name = "URL")]
    pub(crate) url: Option<String>,
    /// Look for yourself even where a daemon runs
    #[arg(long, conflicts_with = "url")]
    pub(crate) no_daemon: bool,
    /// Output for people or for programs
    #[arg(long, short, value_enum, default_value_t = Output::Human)]
    pub(crate) output: Output,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct NextArgs {
    #[command(flatten)]
    pub(crate) look: LookArgs,
    /// Advise on the state in this JSON file instead of a system; - for standard input
    #[arg(long, value_name = "FILE", conflicts_with_all = ["url", "no_daemon", "config"])]
    pub(crate) state: Option<PathBuf>,
    /// Own playbook files on top of the shipped ones; may be given several times
    #[arg(long, value_name = "FILE", requires = "state")]
    pub(crate) playbook: Vec<PathBuf>,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct DoctorArgs {
    #[command(flatten)]
    pub(crate) look: LookArgs,
    /// Print the statements that open what is closed, as a script
    #[arg(long)]
    pub(crate) sql: bool,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct ReportArgs {
    #[command(flatten)]
    pub(crate) next: NextArgs,
    /// Write HTML instead of Markdown
    #[arg(long)]
    pub(crate) html: bool,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct StatusArgs {
    /// Address of the running daemon
    #[arg(long, value_name = "URL", default_value = DEFAULT_URL)]
    pub(crate) url: String,
    /// Output for people or for programs
    #[arg(long, short, value_enum, default_value_t = Output::Human)]
    pub(crate) output: Output,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct ExplainArgs {
    /// Id of a sign or step, or name of a rule
    #[arg(value_name = "SIGN|STEP|RULE")]
    pub(crate) rule: String,
    /// Address of the running daemon
    #[arg(long, value_name = "URL", default_value = DEFAULT_URL)]
    pub(crate) url: String,
    /// Output for people or for programs
    #[arg(long, short, value_enum, default_value_t = Output::Human)]
    pub(crate) output: Output,
}

#[derive(Debug, Subcommand)]
pub(crate) enum CheckCommand {
    /// Check configuration files, and the rules and playbook they name; without a file, what
    /// `run` would read
    Config {
        /// Configuration files
        #[arg(value_name = "FILE")]
        files: Vec<PathBuf>,
    },
    /// Check rule files; without a file, the shipped ones
    Rules(RuleCheckArgs),
    /// Check playbook files on top of the shipped ones
    Playbook {
        /// Playbook files
        #[arg(value_name = "FILE")]
        files: Vec<PathBuf>,
        /// Print what carries each item of the documents, in Markdown
        #[arg(long)]
        coverage: bool,
    },
    /// Check expositions: bad lines, promtool's lints and more, and what a common parser loses
    Metrics {
        /// Files, addresses, or - for standard input
        #[arg(required = true, value_name = "FILE|URL|-")]
        places: Vec<String>,
    },
}

#[derive(Debug, ClapArgs)]
pub(crate) struct RuleCheckArgs {
    /// Parts of PromQL to accept that are off by default, with commas between them, such as
    /// promql-experimental-functions
    #[arg(long, value_name = "FEATURE", value_delimiter = ',')]
    pub(crate) enable_feature: Vec<Feature>,
    /// What to look for beside errors, with commas between: all, duplicate-rules, none, and
    /// too-long-scrape-interval, which concerns no rule
    #[arg(long, value_name = "LINT", default_value = "duplicate-rules")]
    pub(crate) lint: String,
    /// End with 3 when that is found
    #[arg(long)]
    pub(crate) lint_fatal: bool,
    /// Take keys that Prometheus does not know
    #[arg(long)]
    pub(crate) ignore_unknown_fields: bool,
    /// Rule files in Prometheus's format
    #[arg(value_name = "FILE")]
    pub(crate) files: Vec<PathBuf>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum TestCommand {
    /// Run PromQL test scripts in Prometheus's .test format
    Promql {
        /// Script files
        #[arg(required = true, value_name = "FILE")]
        files: Vec<PathBuf>,
    },
    /// Run rule tests in promtool's format, and tests of blindness (.toml)
    Rules(RuleTestArgs),
}

#[derive(Debug, ClapArgs)]
pub(crate) struct RuleTestArgs {
    /// Test files
    #[arg(required = true, value_name = "FILE")]
    pub(crate) files: Vec<PathBuf>,
    /// Only tests whose name matches; may be given several times
    #[arg(long, value_name = "REGEX")]
    pub(crate) run: Vec<String>,
    /// Show what differs line by line
    #[arg(long)]
    pub(crate) diff: bool,
    /// Also write the results as JUnit XML
    #[arg(long, value_name = "FILE")]
    pub(crate) junit: Option<PathBuf>,
    /// Also print all series of each test as they were at its end
    #[arg(long)]
    pub(crate) debug: bool,
    /// Take keys that Prometheus does not know, in test files and rule files
    #[arg(long)]
    pub(crate) ignore_unknown_fields: bool,
    /// Parts of PromQL to accept that are off by default, with commas between them, such as
    /// promql-experimental-functions
    #[arg(long, value_name = "FEATURE", value_delimiter = ',')]
    pub(crate) enable_feature: Vec<Feature>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum RulesCommand {
    /// Write the shipped rules and the playbook into a folder, to read or to change
    Export {
        /// Where to write them
        #[arg(value_name = "DIR")]
        folder: PathBuf,
        /// Overwrite files that differ
        #[arg(long)]
        force: bool,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum ConfigCommand {
    /// Write config.toml with every key, commented, and its default
    Init {
        /// Where to write it; - for standard output
        #[arg(default_value = "config.toml", value_name = "FILE")]
        file: PathBuf,
        /// Overwrite an existing file
        #[arg(long)]
        force: bool,
    },
}

/// Who reads the output.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Output {
    /// Text of at most 80 columns
    Human,
    /// One JSON document
    Json,
}

/// How the log is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum LogFormat {
    /// One line of text each
    Text,
    /// One JSON object each
    Json,
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    #[test]
    fn the_arguments_are_well_formed() {
        super::Args::command().debug_assert();
    }
}
