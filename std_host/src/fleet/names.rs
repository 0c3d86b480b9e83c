//! What a fleet's streams, buckets and subjects are called. All begin with the fleet's name, so that several fleets can be on
//! one server; accounts keep them apart for good.

use toehold::{Priority, Uuid};

use super::FleetError;

/// The names of one fleet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Names {
    fleet: String,
}

impl Names {
    /// Checks a fleet's name: it becomes a part of subjects and of names of streams.
    pub(super) fn new(fleet: &str) -> Result<Self, FleetError> {
        let is_fit = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
        if fleet.is_empty() || fleet.len() > 32 || !fleet.bytes().all(is_fit) {
            return Err(FleetError::Name(fleet.to_owned()));
        }
        Ok(Self { fleet: fleet.to_owned() })
    }

    fn stream(&self, of: &str) -> String {
        format!("{}_{of}", self.fleet.to_ascii_uppercase())
    }

    /// The stream of all logs of jobs.
    pub(super) fn jobs_stream(&self) -> String {
        self.stream("JOBS")
    }

    /// The stream of what is too large for one message of a log.
    pub(super) fn parts_stream(&self) -> String {
        self.stream("PARTS")
    }

    /// The stream of the queue.
    pub(super) fn queue_stream(&self) -> String {
        self.stream("QUEUE")
    }

    /// The stream of events and log lines.
    pub(super) fn events_stream(&self) -> String {
        self.stream("EVENTS")
    }

    /// The stream of keys and values that extensions keep.
    pub(super) fn values_stream(&self) -> String {
        self.stream("VALUES")
    }

    /// The bucket of the workers that are there.
    pub(super) fn workers_bucket(&self) -> String {
        format!("{}-workers", self.fleet)
    }

    /// The bucket that says which package an extension has.
    pub(super) fn extensions_bucket(&self) -> String {
        format!("{}-extensions", self.fleet)
    }

    /// The bucket of packages and modules, by hash.
    pub(super) fn packages_bucket(&self) -> String {
        format!("{}-packages", self.fleet)
    }

    /// The log of a job. The first part shares jobs out among 256 groups, so that a larger fleet can have a stream for some of
    /// them.
    pub(super) fn job(&self, job: Uuid) -> String {
        format!("{}.job.{:02x}.{job}", self.fleet, group(job))
    }

    /// The logs of all jobs.
    pub(super) fn all_jobs(&self) -> String {
        format!("{}.job.>", self.fleet)
    }

    /// The job that a log's subject names.
    pub(super) fn job_of(&self, subject: &str) -> Option<Uuid> {
        subject.rsplit_once('.').and_then(|(_, id)| Uuid::parse_str(id).ok())
    }

    /// A part of a job's log.
    pub(super) fn part(&self, job: Uuid, part: &str) -> String {
        format!("{}.part.{job}.{part}", self.fleet)
    }

    /// All parts of a job's log.
    pub(super) fn parts(&self, job: Uuid) -> String {
        format!("{}.part.{job}.*", self.fleet)
    }

    /// The parts of all jobs.
    pub(super) fn all_parts(&self) -> String {
        format!("{}.part.>", self.fleet)
    }

    /// The queue of jobs of a priority.
    pub(super) fn queue(&self, priority: Priority) -> String {
        format!("{}.queue.{priority}", self.fleet)
    }

    /// The queues of all priorities.
    pub(super) fn all_queues(&self) -> String {
        format!("{}.queue.*", self.fleet)
    }

    /// The events of a job.
    pub(super) fn events(&self, job: Uuid) -> String {
        format!("{}.event.{job}", self.fleet)
    }

    /// The log lines of a job.
    pub(super) fn lines(&self, job: Uuid) -> String {
        format!("{}.line.{job}", self.fleet)
    }

    /// Events and log lines of all jobs.
    pub(super) fn all_events(&self) -> [String; 2] {
        [format!("{}.event.*", self.fleet), format!("{}.line.*", self.fleet)]
    }

    /// What says that a job has dispatched another one.
    pub(super) fn child(&self, parent: Uuid, child: Uuid) -> String {
        format!("{}.child.{parent}.{child}", self.fleet)
    }

    /// The jobs that a job has dispatched.
    pub(super) fn children(&self, parent: Uuid) -> String {
        format!("{}.child.{parent}.*", self.fleet)
    }

    /// The jobs that all jobs have dispatched.
    pub(super) fn all_children(&self) -> String {
        format!("{}.child.>", self.fleet)
    }

    /// A key of an extension. Both may be anything, so they are written in hexadecimal digits.
    pub(super) fn value(&self, extension: &str, key: &str) -> String {
        format!("{}{}", self.values(extension).trim_end_matches('*'), hex(key.as_bytes()))
    }

    /// The keys of an extension.
    pub(super) fn values(&self, extension: &str) -> String {
        format!("{}.value.{}.*", self.fleet, hex(extension.as_bytes()))
    }

    /// The keys of all extensions.
    pub(super) fn all_values(&self) -> String {
        format!("{}.value.>", self.fleet)
    }

    /// Where a worker hears that somebody wants something of a job.
    pub(super) fn signal(&self, worker: Uuid) -> String {
        format!("{}.signal.{worker}", self.fleet)
    }
}

/// The key that a subject of [`Names::value`] names.
pub(super) fn key_of(subject: &str) -> Option<String> {
    let (_, key) = subject.rsplit_once('.')?;
    let digit = |byte: &u8| char::from(*byte).to_digit(16);
    let pairs = key.as_bytes().chunks_exact(2);
    if !pairs.remainder().is_empty() {
        return None;
    }
    let bytes: Option<Vec<u8>> = pairs
        .map(|pair| {
            let (high, low) = (digit(pair.first()?)?, digit(pair.get(1)?)?);
            u8::try_from(high * 16 + low).ok()
        })
        .collect();
    String::from_utf8(bytes?).ok()
}

pub(super) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn group(job: Uuid) -> u8 {
    // The last byte is random in each version of UUIDs that we make.
    job.as_bytes().last().copied().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_name_was_made_of_is_found_in_it() {
        let names = Names::new("toehold").unwrap();
        let id = Uuid::from_u128(0xa5);
        assert_eq!(names.job(id), format!("toehold.job.a5.{id}"));
        assert_eq!(names.job_of(&names.job(id)), Some(id));
        for key in ["a/b", "ä *.>", "x"] {
            assert_eq!(key_of(&names.value("some.extension", key)).as_deref(), Some(key));
        }
        assert_eq!(key_of("toehold.value.00.f"), None);
        assert_eq!(key_of("toehold.value.00.fx"), None);
    }

    #[test]
    fn a_name_that_is_no_part_of_a_subject_is_refused() {
        for name in ["", "a.b", "A", "a b", "a*", &"x".repeat(33)] {
            assert!(Names::new(name).is_err(), "{name:?}");
        }
    }
}
