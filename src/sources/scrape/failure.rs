//! Why a scrape brought nothing.

use std::time::Duration;

use super::text::BadLine;
use crate::model::duration;

/// Why a scrape failed; the words never hold a credential.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Failure {
    /// Nobody listens.
    #[error("connection refused: is the exporter running, and is the port right?")]
    Refused,
    /// The name has no address.
    #[error("cannot resolve the host name: {0}")]
    Dns(String),
    /// An address of the machine's own link, such as a metadata service.
    #[error(
        "{0} is a link-local or metadata address, which is refused; if it is meant, set \
         allow_link_local = true"
    )]
    LinkLocal(String),
    /// The handshake failed.
    #[error("TLS: {0}")]
    Tls(String),
    /// Another failure before the response.
    #[error("cannot connect: {0}")]
    Connect(String),
    /// The deadline over connect, headers and body passed.
    #[error("no complete answer within {}", duration::format(*.0))]
    Timeout(Duration),
    /// The deadline passed before there was room for another scrape.
    #[error("no room within the scrape_timeout: too many targets answer too slowly at once")]
    Busy,
    /// More headers than any exporter sends.
    #[error("the response's headers are larger than {0} bytes")]
    Headers(usize),
    /// More targets than the job may have.
    #[error("the job has {0} targets; target_limit is {1}, and none of them is scraped")]
    TargetLimit(usize, usize),
    /// A proxy, certificate or key that cannot be used.
    #[error("{0}")]
    Settings(String),
    /// A status other than 200.
    #[error("the target answered with HTTP status {0}")]
    Status(u16),
    /// A redirect to another scheme, host or port, or too many of them.
    #[error("redirect not followed: {0}")]
    Redirect(String),
    /// A web page instead of metrics.
    #[error("the target answered with an HTML page, not with metrics: check metrics_path")]
    Html,
    /// A format that is not read.
    #[error(
        "the target sent the content type {0}, which is not read; text, OpenMetrics and protobuf are"
    )]
    ContentType(String),
    /// A compression that was not asked for.
    #[error("the target sent the content encoding {0}, which is not read; gzip is")]
    Encoding(String),
    /// The compressed body is damaged.
    #[error("the gzip body is damaged or cut off: {0}")]
    Gzip(String),
    /// Too large once inflated.
    #[error("the body is larger than {0} bytes inflated; body_size_limit sets the bound")]
    BodySize(u64),
    /// The connection ended inside the body.
    #[error("the body was cut off: {0}")]
    HalfBody(String),
    /// A protobuf body that does not follow the format.
    #[error("the protobuf body is damaged: {0}")]
    Protobuf(String),
    /// An OpenMetrics body without its end mark.
    #[error("the OpenMetrics body does not end with # EOF: it was cut off or is not OpenMetrics")]
    NoEof,
    /// Too many bad lines, or one in strict mode.
    #[error("{bad} of {lines} lines are bad; the first, for its {reason}: {line:?}")]
    BadLines {
        /// Bad lines.
        bad: u64,
        /// Lines with samples and bad lines.
        lines: u64,
        /// Reason of the first bad line.
        reason: BadLine,
        /// Start of the first bad line.
        line: String,
    },
    /// More samples than are kept of one target.
    #[error("more than {0} selected samples; sample_limit sets the bound")]
    SampleLimit(usize),
    /// The credentials could not be read.
    #[error("{0}")]
    Secret(String),
    /// The response does not follow HTTP.
    #[error("broken HTTP response: {0}")]
    Http(String),
}

impl Failure {
    /// The word used as a metric label.
    pub fn reason(&self) -> &'static str {
        match self {
            Failure::Refused => "refused",
            Failure::Dns(_) => "dns",
            Failure::LinkLocal(_) => "link_local",
            Failure::Tls(_) => "tls",
            Failure::Connect(_) => "connect",
            Failure::Timeout(_) => "timeout",
            Failure::Busy => "busy",
            Failure::Headers(_) => "headers",
            Failure::TargetLimit(_, _) => "target_limit",
            Failure::Settings(_) => "settings",
            Failure::Status(_) => "status",
            Failure::Redirect(_) => "redirect",
            Failure::Html => "html",
            Failure::ContentType(_) => "content_type",
            Failure::Encoding(_) => "encoding",
            Failure::Gzip(_) => "gzip",
            Failure::BodySize(_) => "body_size",
            Failure::HalfBody(_) => "half_body",
            Failure::Protobuf(_) => "protobuf",
            Failure::NoEof => "no_eof",
            Failure::BadLines { .. } => "bad_lines",
            Failure::SampleLimit(_) => "sample_limit",
            Failure::Secret(_) => "secret",
            Failure::Http(_) => "http",
        }
    }
}
