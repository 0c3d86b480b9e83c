//! The integers that cross the border, each as an enum of its own.

macro_rules! codes {
    ($(#[$meta:meta])* $name:ident { $($(#[$variant_meta:meta])* $variant:ident = $code:literal),+ $(,)? }) => {
        $(#[$meta])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[repr(i32)]
        pub enum $name {
            $($(#[$variant_meta])* $variant = $code),+
        }

        impl $name {
            /// The integer that stands for it in the ABI.
            #[must_use]
            pub const fn code(self) -> i32 {
                self as i32
            }

            /// What the integer stands for, if it stands for anything.
            #[must_use]
            pub const fn from_code(code: i32) -> Option<Self> {
                match code {
                    $($code => Some(Self::$variant),)+
                    _ => None,
                }
            }
        }
    };
}

codes! {
    /// The level of a log line. A host takes any other integer for `Info`.
    LogLevel {
        /// For whoever looks for a mistake.
        Debug = 0,
        /// What goes on.
        Info = 1,
        /// Something is off, the job goes on.
        Warn = 2,
        /// Something failed.
        Error = 3,
    }
}

codes! {
    /// The answer of `job_check_interrupt`.
    Interrupt {
        /// Nobody asked the job to stop.
        None = 0,
        /// Stop for now: checkpoint and return [`JobResult::Interrupted`].
        Pause = 1,
        /// Stop for good: tidy up and return [`JobResult::Interrupted`].
        Cancel = 2,
    }
}

codes! {
    /// The answer of `job_checkpoint`.
    Checkpointed {
        /// The state is durable.
        Durable = 0,
        /// The state is not durable; an older checkpoint, if any, still is.
        NotDurable = 1,
    }
}

codes! {
    /// The answer of `register_job`.
    Registered {
        /// The job is known to the host.
        Done = 0,
        /// Duplicate name, no such export, or an export with a wrong signature.
        Refused = 1,
    }
}

codes! {
    /// What a job's export returns.
    JobResult {
        /// The job is done.
        Completed = 0,
        /// The job was asked to stop, has checkpointed and wants to stop.
        Interrupted = 1,
        /// The job failed; it has logged why.
        Failed = 2,
        /// A step is done: call again (ABI 1.1, only guests made with Toehold's SDK).
        StepDone = 3,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_those_of_the_abi() {
        assert_eq!(LogLevel::Error.code(), 3);
        assert_eq!(Interrupt::from_code(2), Some(Interrupt::Cancel));
        assert_eq!(JobResult::from_code(3), Some(JobResult::StepDone));
        assert_eq!(JobResult::from_code(4), None);
        assert_eq!(JobResult::from_code(-1), None);
        assert_eq!(Checkpointed::NotDurable.code(), 1);
    }
}
