//! Operations that are futures, on their way.

use std::{io, sync::Mutex, sync::PoisonError};

use toehold::Reply;
use tokio::{
    runtime::{Builder, Handle, Runtime},
    task::AbortHandle,
};

use super::{AsyncContext, Operations};

/// An operation that is carried out. Dropping this drops its future where it stands.
#[derive(Debug)]
pub(crate) struct Task(AbortHandle);

impl Task {
    /// Has a call's operation carried out, which must be a future. `reply_to` gets the reply, unless the task is dropped
    /// before.
    pub(crate) fn spawn(
        runtime: &Handle,
        operations: &Operations,
        context: AsyncContext,
        reply_to: impl FnOnce(Reply) + Send + 'static,
    ) -> Self {
        let reply = operations.carry_out_async(context);
        let task = runtime.spawn(async move { reply_to(reply.await) });
        Self(task.abort_handle())
    }
}

impl Drop for Task {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// What a call gets whose job is cancelled before its operation is done.
pub(crate) fn cancelled(method: &str) -> Reply {
    Err(format!("{method}: the job was cancelled before it was done"))
}

/// A runtime that is made when it is needed. Dropping it drops what runs on it.
#[derive(Debug, Default)]
pub(crate) struct LazyRuntime(Mutex<Option<Runtime>>);

impl LazyRuntime {
    pub(crate) fn handle(&self) -> io::Result<Handle> {
        // A thread that panicked while it held the lock left nothing or a whole runtime behind.
        let mut runtime = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let made = match runtime.take() {
            Some(made) => made,
            None => Builder::new_multi_thread()
                .worker_threads(1)
                .thread_name("toehold-operations")
                .enable_all()
                .build()?,
        };
        Ok(runtime.insert(made).handle().clone())
    }
}

impl Drop for LazyRuntime {
    fn drop(&mut self) {
        let runtime = self.0.get_mut().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(runtime) = runtime {
            // It may be dropped where nothing may wait.
            runtime.shutdown_background();
        }
    }
}
