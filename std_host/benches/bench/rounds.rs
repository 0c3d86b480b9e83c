//! Variants of one thing, measured in turns, so that what else the machine does hits all of them alike.

use std::time::Duration;

use cpu_time::ThreadTime;

/// How long to measure.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Effort {
    /// Enough to see that everything works.
    Quick,
    /// Enough for medians that hold still.
    Full,
}

impl Effort {
    pub(crate) fn pick<T>(self, quick: T, full: T) -> T {
        match self {
            Self::Quick => quick,
            Self::Full => full,
        }
    }
}

/// One way to do the thing: does it once, and says how long it took.
pub(crate) struct Variant<'a> {
    name: &'static str,
    once: Box<dyn FnMut() -> Duration + 'a>,
}

impl<'a> Variant<'a> {
    /// Times all of `once`.
    pub(crate) fn new(name: &'static str, mut once: impl FnMut() + 'a) -> Self {
        Self::timed(name, move || timed(&mut once))
    }

    /// Leaves it to `once` what to time.
    pub(crate) fn timed(name: &'static str, once: impl FnMut() -> Duration + 'a) -> Self {
        Self { name, once: Box::new(once) }
    }
}

/// The time that `once` takes of this thread. On a busy machine the clock on the wall tells more of the others.
pub(crate) fn timed(once: impl FnOnce()) -> Duration {
    let start = ThreadTime::now();
    once();
    start.elapsed()
}

/// What the rounds came to for one variant.
pub(crate) struct Summary {
    pub(crate) name: &'static str,
    /// Median time.
    pub(crate) time: Duration,
    /// Quartiles of the ratios to the first variant, each taken within one round.
    pub(crate) ratio: [f64; 3],
    /// The shortest time over the first variant's shortest: agrees with the median where the machine was quiet.
    pub(crate) best: f64,
}

/// Runs all variants in each round, each time from another one on. The first is what the others are compared with.
pub(crate) fn compare(rounds: usize, mut variants: Vec<Variant<'_>>) -> Vec<Summary> {
    let count = variants.len();
    let mut times: Vec<Vec<f64>> = vec![Vec::new(); count];
    // Round 0 warms up.
    for round in 0..=rounds {
        for index in (0..count).map(|index| (index + round) % count) {
            let time = (variants[index].once)();
            if round > 0 {
                times[index].push(time.as_secs_f64());
            }
        }
    }
    let shortest = |times: &[f64]| times.iter().copied().fold(f64::INFINITY, f64::min);
    (0..count)
        .map(|index| {
            let mut ratios: Vec<f64> =
                times[index].iter().zip(&times[0]).map(|(time, first)| time / first).collect();
            let mut own = times[index].clone();
            Summary {
                name: variants[index].name,
                time: Duration::from_secs_f64(quantile(&mut own, 0.5)),
                ratio: [0.25, 0.5, 0.75].map(|part| quantile(&mut ratios, part)),
                best: shortest(&times[index]) / shortest(&times[0]),
            }
        })
        .collect()
}

/// The value that `part` of all values are not above.
pub(crate) fn quantile(values: &mut [f64], part: f64) -> f64 {
    values.sort_by(f64::total_cmp);
    values[((values.len() - 1) as f64 * part).round() as usize]
}

/// The head of a table of [`line`]s.
pub(crate) fn head(title: &str, unit: &str) {
    println!("\n## {title}\n");
    println!("| what | variant | {unit} | ratio | quartiles | of the best |");
    println!("| --- | --- | ---: | ---: | ---: | ---: |");
}

/// A row of a table; `time` is in the unit of its head.
pub(crate) fn line(what: &str, summary: &Summary, time: f64) {
    let [low, median, high] = summary.ratio;
    println!(
        "| {what} | {} | {time:.3} | **{median:.3}** | {low:.3} – {high:.3} | {:.3} |",
        summary.name, summary.best
    );
}
