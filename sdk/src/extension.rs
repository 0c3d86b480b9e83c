use alloc::format;

use toehold_abi::{LogLevel, Registered};

use crate::{Result, border, log};

/// An extension as [`macro@crate::extension`] makes it.
pub trait Extension {
    /// Its id, as in the manifest.
    const ID: &'static str;
    /// Its name for people, as in the manifest.
    const NAME: &'static str;
    /// Its version, as in the manifest.
    const VERSION: &'static str;
    /// The jobs that it registers, in this order.
    const JOBS: &'static [JobInfo];

    /// Runs in each new instance, after the jobs were registered. The host refuses an instance whose `init` fails.
    ///
    /// # Errors
    ///
    /// The extension can't be used.
    fn init() -> Result<()> {
        log(LogLevel::Info, format_args!("✓ {} initialized!", Self::NAME));
        Ok(())
    }
}

/// What an extension tells the host about a job.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct JobInfo {
    /// The name, with which the job is called `EXTENSION_ID:NAME`.
    pub name: &'static str,
    /// The export that runs it.
    pub export: &'static str,
    /// Whether it can go on from a checkpoint.
    pub resumable: bool,
    /// The version of the state that it writes, as `state_version` in the manifest; 0 where the job names none.
    pub state_version: u32,
    /// The export that migrates the states of older versions, if there is one.
    pub migrate: Option<&'static str>,
}

impl JobInfo {
    #[doc(hidden)]
    #[must_use]
    pub const fn new(name: &'static str, export: &'static str, resumable: bool) -> Self {
        Self { name, export, resumable, state_version: 0, migrate: None }
    }

    #[doc(hidden)]
    #[must_use]
    pub const fn with_state(self, version: u32, migrate: Option<&'static str>) -> Self {
        Self { state_version: version, migrate, ..self }
    }
}

pub(crate) fn register(jobs: &[JobInfo]) -> Result<()> {
    for job in jobs {
        if Registered::from_code(border::register_job(job)) != Some(Registered::Done) {
            return Err(crate::Error::failed(format!(
                "the host refused to register the job {} (export {})",
                job.name, job.export
            )));
        }
    }
    Ok(())
}

/// Stops the build where two jobs have one name: the host would refuse the extension.
pub const fn assert_distinct(jobs: &[JobInfo]) {
    let mut i = 0;
    while i < jobs.len() {
        let mut j = i + 1;
        while j < jobs.len() {
            assert!(
                !equal(jobs[i].name.as_bytes(), jobs[j].name.as_bytes()),
                "two jobs of this extension have the same name"
            );
            j += 1;
        }
        i += 1;
    }
}

/// Stops the build where two jobs write states of different versions: the manifest has one number for all of them.
///
/// ```
/// # use toehold_sdk::{JobContext, Result, extension, job};
/// #[job(name = "scan", version = 2)]
/// fn scan(_ctx: &JobContext, _state: &mut u64) -> Result<()> {
///     Ok(())
/// }
///
/// #[job(name = "sort", version = 2)]
/// fn sort(_ctx: &JobContext, _state: &mut u64) -> Result<()> {
///     Ok(())
/// }
///
/// #[extension(id = "photos", name = "Photos", version = "1.0.0", jobs = [scan, sort])]
/// struct Photos;
/// ```
///
/// Another version is a mistake:
///
/// ```compile_fail
/// # use toehold_sdk::{JobContext, Result, extension, job};
/// # #[job(name = "scan", version = 2)]
/// # fn scan(_ctx: &JobContext, _state: &mut u64) -> Result<()> {
/// #     Ok(())
/// # }
/// #[job(name = "sort", version = 3)]
/// # fn sort(_ctx: &JobContext, _state: &mut u64) -> Result<()> {
/// #     Ok(())
/// # }
/// # #[extension(id = "photos", name = "Photos", version = "1.0.0", jobs = [scan, sort])]
/// # struct Photos;
/// ```
pub const fn assert_one_state_version(jobs: &[JobInfo]) {
    let mut known = 0;
    let mut i = 0;
    while i < jobs.len() {
        let version = jobs[i].state_version;
        assert!(
            version == 0 || known == 0 || version == known,
            "the jobs of this extension give different state versions, but its manifest has one `state_version`"
        );
        if version != 0 {
            known = version;
        }
        i += 1;
    }
}

const fn equal(a: &[u8], b: &[u8]) -> bool {
    if a.len() != b.len() {
        return false;
    }
    let mut i = 0;
    while i < a.len() {
        if a[i] != b[i] {
            return false;
        }
        i += 1;
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    const SCAN: JobInfo = JobInfo::new("scan", "execute_scan", true);
    const SORT: JobInfo = JobInfo::new("sort", "execute_sort", true);

    #[test]
    fn other_names_are_distinct() {
        assert_distinct(&[]);
        assert_distinct(&[SCAN, SORT, JobInfo::new("scans", "execute_scans", true)]);
    }

    #[test]
    #[should_panic(expected = "two jobs of this extension have the same name")]
    fn the_export_does_not_make_a_name_distinct() {
        assert_distinct(&[SORT, SCAN, JobInfo::new("scan", "execute_scan_again", true)]);
    }

    #[test]
    fn jobs_may_share_a_state_version_or_have_none() {
        assert_one_state_version(&[SCAN, SORT]);
        assert_one_state_version(&[SCAN.with_state(2, None), SORT, SCAN.with_state(2, Some("migrate_scan"))]);
    }

    #[test]
    #[should_panic(expected = "its manifest has one `state_version`")]
    fn jobs_with_different_state_versions_are_refused() {
        assert_one_state_version(&[SCAN.with_state(2, None), SORT, SCAN.with_state(1, None)]);
    }
}
