//! Text in columns, and numbers as people read them.

use std::time::{Duration, UNIX_EPOCH};

/// Rows under each other, with two spaces between columns. The last column is as wide as it is.
pub(crate) fn table(rows: &[Vec<String>]) -> String {
    let width = |column: usize| {
        rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count()).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..rows.iter().map(Vec::len).max().unwrap_or(0)).map(width).collect();
    let line = |row: &Vec<String>| {
        let cells = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:width$}"));
        cells.collect::<Vec<_>>().join("  ").trim_end().to_owned()
    };
    rows.iter().map(line).collect::<Vec<_>>().join("\n")
}

/// Milliseconds since 1970 as a time of day and date, in UTC.
pub(crate) fn time(at: u64) -> String {
    match UNIX_EPOCH.checked_add(Duration::from_millis(at)) {
        // Later ones have no date of four digits.
        Some(time) if at < 253_402_300_800_000 => humantime::format_rfc3339_millis(time).to_string(),
        _ => format!("{at} ms"),
    }
}

/// A span of time with its two largest units.
pub(crate) fn span(ms: u64) -> String {
    let units = [("d", 86_400_000), ("h", 3_600_000), ("min", 60_000), ("s", 1_000)];
    match units.iter().position(|(_, unit)| ms >= *unit) {
        None => format!("{ms} ms"),
        Some(first) => {
            let mut rest = ms;
            let parts = units.iter().skip(first).take(2).filter_map(|(name, unit)| {
                let count = rest / unit;
                rest %= unit;
                (count > 0).then(|| format!("{count} {name}"))
            });
            parts.collect::<Vec<_>>().join(" ")
        }
    }
}

/// Bytes with a unit.
pub(crate) fn bytes(count: f64) -> String {
    let units = ["B", "KiB", "MiB", "GiB", "TiB"];
    let mut count = count;
    let mut unit = units[0];
    for larger in units.into_iter().skip(1) {
        if count < 1024.0 {
            break;
        }
        count /= 1024.0;
        unit = larger;
    }
    if unit == "B" { format!("{count:.0} {unit}") } else { format!("{count:.1} {unit}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_as_wide_as_they_have_to_be() {
        let rows = [["ID", "JOB", ""], ["1", "x", "y"], ["22", "über", ""]];
        let rows: Vec<Vec<String>> = rows.iter().map(|row| row.map(str::to_owned).to_vec()).collect();
        assert_eq!(table(&rows), "ID  JOB\n1   x     y\n22  über");
    }

    #[test]
    fn numbers_are_for_people() {
        assert_eq!(span(90_061_000), "1 d 1 h");
        assert_eq!(span(61_500), "1 min 1 s");
        assert_eq!(span(3_600_000), "1 h");
        assert_eq!(span(999), "999 ms");
        assert_eq!(bytes(1023.0), "1023 B");
        assert_eq!(bytes(1536.0), "1.5 KiB");
        assert_eq!(time(0), "1970-01-01T00:00:00.000Z");
        assert_eq!(time(u64::MAX), "18446744073709551615 ms");
    }
}
