use std::borrow::Cow;

use serde_json::json;
use std_host::api::ApiError;

use super::{
    exit::Exit,
    output::{self, one_line},
};

/// Why something that was asked for was not done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Problem {
    /// One word for programs, of the API or one of these: `no_data`, `data_in_use`, `no_serve`, `settings`, `file`,
    /// `failed`.
    pub(crate) code: Cow<'static, str>,
    pub(crate) message: String,
}

impl Problem {
    pub(crate) fn new(code: &'static str, message: impl ToString) -> Self {
        Self { code: code.into(), message: message.to_string() }
    }

    /// Says it: a line on standard error, and the API's `{"error": …}` on standard output where that is read by a program.
    pub(crate) fn report(&self, json: bool) -> Exit {
        output::eprint(&format!("error: {}", one_line(&self.message)));
        if json {
            output::print(&json!({ "error": { "code": self.code, "message": self.message } }).to_string());
        }
        Exit::NotStarted
    }
}

impl From<ApiError> for Problem {
    fn from(error: ApiError) -> Self {
        Self { code: error.code.into(), message: error.message }
    }
}
