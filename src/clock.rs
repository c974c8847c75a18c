//! The only reader of the operating system's clocks.
//!
//! What must stay true: every other room gets `now` as an argument.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use crate::model::Timestamp;

/// Tells the time: the machine's, or a test's.
#[derive(Debug, Clone)]
pub struct Clock(Kind);

#[derive(Debug, Clone)]
enum Kind {
    System,
    Fixed(Arc<Fixed>),
}

/// Milliseconds of a clock that only a test moves.
#[derive(Debug)]
struct Fixed {
    wall: AtomicI64,
    boot: AtomicI64,
}

/// Both clocks at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reading {
    /// What people call the time; may be set.
    pub wall: Timestamp,
    /// Time since the machine started, sleep included; only ever goes on.
    pub boot: Duration,
}

impl Clock {
    /// The machine's wall clock.
    pub fn system() -> Self {
        Clock(Kind::System)
    }

    /// A clock that stands at `at` until [`Clock::advance`] moves it.
    pub fn fixed(at: Timestamp) -> Self {
        Clock(Kind::Fixed(Arc::new(Fixed {
            wall: AtomicI64::new(at.millis()),
            boot: AtomicI64::new(0),
        })))
    }

    /// Wall time.
    pub fn now(&self) -> Timestamp {
        match &self.0 {
            Kind::System => system_now(),
            Kind::Fixed(at) => Timestamp(at.wall.load(Ordering::SeqCst)),
        }
    }

    /// Moves a fixed clock; the system clock cannot be moved and stays as it is.
    pub fn advance(&self, by: Duration) {
        if let Kind::Fixed(at) = &self.0 {
            let by = i64::try_from(by.as_millis()).unwrap_or(i64::MAX);
            at.wall.fetch_add(by, Ordering::SeqCst);
            at.boot.fetch_add(by, Ordering::SeqCst);
        }
    }

    /// Sets a fixed clock's wall time forward or back by milliseconds, as a person would; time
    /// since the start goes on as before.
    pub fn step(&self, by: i64) {
        if let Kind::Fixed(at) = &self.0 {
            at.wall.fetch_add(by, Ordering::SeqCst);
        }
    }

    /// Both clocks.
    pub fn read(&self) -> Reading {
        let boot = match &self.0 {
            Kind::System => boot_now(),
            Kind::Fixed(at) => {
                let millis = u64::try_from(at.boot.load(Ordering::SeqCst)).unwrap_or(0);
                Duration::from_millis(millis)
            }
        };
        Reading {
            wall: self.now(),
            boot,
        }
    }

    /// Starts a stopwatch that wall clock steps do not disturb.
    pub fn stopwatch(&self) -> Stopwatch {
        Stopwatch(monotonic_now())
    }
}

/// Measures how long something took.
#[derive(Debug, Clone, Copy)]
pub struct Stopwatch(std::time::Instant);

impl Stopwatch {
    /// Time since the start.
    pub fn elapsed(&self) -> Duration {
        self.0.elapsed()
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "this is the one place that reads the wall clock"
)]
fn system_now() -> Timestamp {
    let since_epoch = std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .unwrap_or(Duration::ZERO);
    Timestamp(i64::try_from(since_epoch.as_millis()).unwrap_or(i64::MAX))
}

/// Goes on while the machine sleeps, where the system tells.
fn boot_now() -> Duration {
    #[cfg(target_os = "linux")]
    let clock = rustix::time::ClockId::Boottime;
    #[cfg(not(target_os = "linux"))]
    let clock = rustix::time::ClockId::Monotonic;
    let now = rustix::time::clock_gettime(clock);
    let secs = u64::try_from(now.tv_sec).unwrap_or(0);
    Duration::from_secs(secs) + Duration::from_nanos(u64::try_from(now.tv_nsec).unwrap_or(0))
}

#[expect(
    clippy::disallowed_methods,
    reason = "this is the one place that reads a clock"
)]
fn monotonic_now() -> std::time::Instant {
    std::time::Instant::now()
}
