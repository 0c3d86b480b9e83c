use alloc::string::ToString;
use core::fmt::Display;

use toehold_abi::LogLevel;

use crate::border;

/// Writes a line to the host's log.
///
/// Inside a job the methods of [`JobContext`](crate::JobContext) read better; this one is also there in an extension's
/// `init`.
pub fn log(level: LogLevel, message: impl Display) {
    write(level, &message);
}

fn write(level: LogLevel, message: &dyn Display) {
    border::log(level, &message.to_string());
}
