use std::sync::Arc;

use serde_json::Value;
use toehold::{Call, CallKey, Control, Interrupt, JobContext, Uuid};

use super::{FileAccess, NetworkAccess};

/// What the operator gives to one extension. The default is nothing.
#[derive(Clone, Debug, Default)]
pub struct Grants {
    /// Its configuration, which `query:config.get` reads; null for none.
    pub config: Value,
    /// The folders whose files it may read and write.
    pub files: FileAccess,
    /// The hosts that it may reach.
    pub network: NetworkAccess,
}

/// What an operation knows of the call that it carries out.
#[derive(Clone, Copy, Debug)]
pub struct CallContext<'a> {
    call: &'a Call,
    grants: &'a Grants,
    control: Option<&'a Control>,
}

impl<'a> CallContext<'a> {
    /// What outlives the call, without a way to hear that the job is asked to stop.
    pub(super) fn to_async(self) -> AsyncContext {
        AsyncContext::new(Arc::new(self.call.clone()), Arc::new(self.grants.clone()), None)
    }

    /// A call of an extension that has these grants. Nobody can interrupt it.
    #[must_use]
    pub fn new(call: &'a Call, grants: &'a Grants) -> Self {
        Self { call, grants, control: None }
    }

    /// The same call, of a job that is asked to stop through `control`.
    #[must_use]
    pub fn with_control(self, control: &'a Control) -> Self {
        Self { control: Some(control), ..self }
    }

    /// The call as the core gave it, with the payload that nobody has looked at.
    #[must_use]
    pub fn call(&self) -> &'a Call {
        self.call
    }

    /// The idempotency key. After a crash a call may come a second time, with the same key: an operation that changes
    /// something has to remember the keys that it has seen, and not act twice.
    #[must_use]
    pub fn key(&self) -> CallKey {
        self.call.key
    }

    /// The id of the extension that calls.
    #[must_use]
    pub fn extension(&self) -> &'a str {
        &self.call.extension
    }

    /// The library that the call is about, if it names one. The manifest permits it.
    #[must_use]
    pub fn library(&self) -> Option<Uuid> {
        self.call.library
    }

    /// The extension's configuration; null for none.
    #[must_use]
    pub fn config(&self) -> &'a Value {
        &self.grants.config
    }

    /// The files that the extension may read and write.
    #[must_use]
    pub fn files(&self) -> &'a FileAccess {
        &self.grants.files
    }

    /// The hosts that the extension may reach.
    #[must_use]
    pub fn network(&self) -> &'a NetworkAccess {
        &self.grants.network
    }

    /// Whether somebody asks the job to stop. The job itself can't stop before it has its reply, so an operation that
    /// takes long looks here from time to time.
    #[must_use]
    pub fn interrupt(&self) -> Interrupt {
        self.control.map_or(Interrupt::None, Control::interrupt)
    }
}

/// The same for an operation that is a future: it may be kept for as long as that lives.
#[derive(Clone, Debug)]
pub struct AsyncContext {
    pub(super) call: Arc<Call>,
    grants: Arc<Grants>,
    job: Option<Arc<JobContext>>,
}

impl AsyncContext {
    /// A call of an extension that has these grants, by a job that is asked to stop through its context, if there is one.
    #[must_use]
    pub fn new(call: Arc<Call>, grants: Arc<Grants>, job: Option<Arc<JobContext>>) -> Self {
        Self { call, grants, job }
    }

    /// All there is to know of the call.
    #[must_use]
    pub fn get(&self) -> CallContext<'_> {
        let context = CallContext::new(&self.call, &self.grants);
        match &self.job {
            Some(job) => context.with_control(job.control()),
            None => context,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_operation_sees_that_its_job_is_asked_to_stop() {
        let call = Call {
            key: CallKey { job: Uuid::from_u128(1), number: 2 },
            extension: "example".to_owned(),
            method: "app:slow".to_owned(),
            library: Some(Uuid::from_u128(3)),
            payload: Vec::new(),
        };
        let grants = Grants::default();
        let context = CallContext::new(&call, &grants);
        assert_eq!(context.interrupt(), Interrupt::None);
        assert_eq!((context.extension(), context.key().number), ("example", 2));
        assert_eq!(context.library(), Some(Uuid::from_u128(3)));

        let control = Control::default();
        let context = context.with_control(&control);
        assert_eq!(context.interrupt(), Interrupt::None);
        control.cancel();
        assert_eq!(context.interrupt(), Interrupt::Cancel);
    }
}
