//! Small texts: durations, sizes, errors.

use crate::api::types::Neighbor;

/// `00:01:12` below a day, `3d04h` from then on.
pub fn uptime(seconds: f64) -> String {
    // Negative and absurd values saturate.
    let seconds = seconds as u64;
    let (days, hours, minutes) = (seconds / 86_400, seconds / 3_600 % 24, seconds / 60 % 60);
    if days > 0 { format!("{days}d{hours:02}h") } else { format!("{hours:02}:{minutes:02}:{:02}", seconds % 60) }
}

/// The same, or `-`.
pub fn uptime_or_dash(seconds: Option<f64>) -> String {
    seconds.map_or_else(dash, uptime)
}

/// A duration as it stands in configuration, for example `9s` or `0.3s`.
pub fn seconds(value: f64) -> String {
    format!("{value}s")
}

/// `812 B`, `4.0 KiB`, `1.2 GiB`.
pub fn bytes(count: u64) -> String {
    let mut value = count as f64;
    let mut units = ["B", "KiB", "MiB", "GiB", "TiB"].into_iter();
    let mut unit = units.next().unwrap_or_default();
    for bigger in units {
        if value < 1024.0 {
            break;
        }
        value /= 1024.0;
        unit = bigger;
    }
    if unit == "B" { format!("{count} B") } else { format!("{value:.1} {unit}") }
}

/// `value`, or `-` where it is unknown.
pub fn or_dash<T: ToString>(value: Option<T>) -> String {
    value.map_or_else(dash, |value| value.to_string())
}

fn dash() -> String {
    "-".to_owned()
}

/// The newest reason why the neighbor is not up; `-` while it is.
pub fn why_down(neighbor: &Neighbor) -> String {
    or_dash(neighbor.why_down())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_switch_at_a_day() {
        assert_eq!(uptime(72.9), "00:01:12");
        assert_eq!(uptime(86_399.0), "23:59:59");
        assert_eq!(uptime(86_400.0), "1d00h");
        assert_eq!(uptime(273_600.0 + 59.0), "3d04h");
        assert_eq!(uptime(-1.0), "00:00:00");
    }

    #[test]
    fn sizes_take_the_biggest_unit_that_fits() {
        assert_eq!(bytes(812), "812 B");
        assert_eq!(bytes(4096), "4.0 KiB");
        assert_eq!(bytes(1_288_490_189), "1.2 GiB");
    }
}
