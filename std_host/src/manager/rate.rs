use std::{
    collections::VecDeque,
    time::{Duration, Instant},
};

use toehold::Report;

/// How fast a job is: what its last reports differ by.
#[derive(Debug, Default)]
pub(super) struct RateMeter {
    samples: VecDeque<Sample>,
}

#[derive(Clone, Copy, Debug)]
struct Sample {
    at: Instant,
    items: u64,
    bytes: u64,
    fraction: f64,
}

/// How fast a job has been lately.
#[derive(Clone, Copy, Debug, Default, PartialEq, serde::Serialize, serde::Deserialize, utoipa::ToSchema)]
pub struct Rate {
    /// Items a second.
    pub items_per_second: f64,
    /// Bytes a second.
    pub bytes_per_second: f64,
    /// Milliseconds that are left, where the progress moves.
    pub left_ms: Option<u64>,
}

/// Over how much time a rate is taken.
const WINDOW: Duration = Duration::from_secs(10);
/// Samples are at least so far apart.
const APART: Duration = Duration::from_millis(200);

impl RateMeter {
    pub(super) fn add(&mut self, report: &Report, at: Instant) {
        let apart = |last: &Sample| at.saturating_duration_since(last.at) >= APART;
        if !self.samples.back().is_none_or(apart) {
            return;
        }
        let fraction = report.progress.as_ref().map_or(0.0, |progress| f64::from(progress.fraction));
        self.samples.push_back(Sample { at, items: report.items, bytes: report.bytes, fraction });
        while self.samples.len() > 2
            && self.samples.front().is_some_and(|first| at.saturating_duration_since(first.at) > WINDOW)
        {
            self.samples.pop_front();
        }
    }

    pub(super) fn rate(&self) -> Option<Rate> {
        let (first, last) = (self.samples.front()?, self.samples.back()?);
        let seconds = last.at.saturating_duration_since(first.at).as_secs_f64();
        if seconds <= 0.0 {
            return None;
        }
        let moved = (last.fraction - first.fraction) / seconds;
        let left = (1.0 - last.fraction) / moved * 1_000.0;
        Some(Rate {
            items_per_second: last.items.saturating_sub(first.items) as f64 / seconds,
            bytes_per_second: last.bytes.saturating_sub(first.bytes) as f64 / seconds,
            left_ms: (moved > 0.0 && left.is_finite()).then_some(left as u64),
        })
    }
}

#[cfg(test)]
mod tests {
    use toehold::Progress;

    use super::*;

    #[test]
    fn a_rate_is_what_changed_over_the_last_seconds() {
        let mut meter = RateMeter::default();
        let start = Instant::now();
        for second in 0..30_u32 {
            // Ten items a second, of 600.
            let mut report = Report { items: u64::from(second) * 10, ..Report::default() };
            let fraction = second as f32 / 60.0;
            report.progress = Some(Progress { fraction, ..Progress::default() });
            meter.add(&report, start + Duration::from_secs(second.into()));
            meter.add(&Report::default(), start + Duration::from_secs(second.into()));
        }
        let rate = meter.rate().unwrap();
        assert!((rate.items_per_second - 10.0).abs() < 1e-9, "{rate:?}");
        assert!((30_900..=31_100).contains(&rate.left_ms.unwrap()), "{rate:?}");
        assert_eq!(meter.samples.len(), 11);
    }

    #[test]
    fn nobody_knows_how_long_a_job_takes_that_does_not_move() {
        let mut meter = RateMeter::default();
        assert_eq!(meter.rate(), None);
        let start = Instant::now();
        meter.add(&Report::default(), start);
        assert_eq!(meter.rate(), None);
        meter.add(&Report::default(), start + Duration::from_secs(1));
        assert_eq!(meter.rate(), Some(Rate::default()));
    }
}
