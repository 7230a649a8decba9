//! Time to expiry: calendar years from instants, and the last minutes of an index option, when its settlement averages.

/// Minutes of a year of 365 days, by which time to expiry is measured.
pub const MINUTES_PER_YEAR: f64 = 525_600.0;

const NANOSECONDS_PER_MINUTE: f64 = 6e10;

/// The years between two instants in nanoseconds since an epoch, as calendar minutes / 525600. Negative after expiry:
/// nothing is clipped, since gamma and theta grow like `1/sqrt(T)` and a floor is the caller's decision.
#[must_use]
pub fn calendar_years(now_nanoseconds: i64, expiry_nanoseconds: i64) -> f64 {
    // i128: the difference of two instants may not fit their own type.
    let nanoseconds = i128::from(expiry_nanoseconds) - i128::from(now_nanoseconds);
    nanoseconds as f64 / NANOSECONDS_PER_MINUTE / MINUTES_PER_YEAR
}

/// The time that counts for variance when the settlement price is the average over the last `window_years` before expiry.
///
/// Before the window it is `(T - w) + w/3`; inside, what is still to come is the share `T/w` of the average, so `T^3 / 3w^2`.
/// Use it as the time to expiry of Black-76 on [`settlement_forward`], with the rate scaled so that discounting keeps the
/// real time, or zero. First two moments of the average, as in E. Levy, J. Int. Money Finance 11 (1992).
///
/// A window of zero or less leaves the time as it is; a time of zero or less comes back unchanged.
#[must_use]
pub fn variance_years(years_to_expiry: f64, window_years: f64) -> f64 {
    let (t, w) = (years_to_expiry, window_years);
    if !(w > 0.0 && t > 0.0) {
        t
    } else if t >= w {
        (t - w) + w / 3.0
    } else {
        t * (t / w) * (t / w) / 3.0
    }
}

/// The expected settlement price inside the averaging window: the average so far, weighted by the part of the window that is
/// over, and the forward for the rest. Before the window, or without one, it is the forward.
#[must_use]
pub fn settlement_forward(forward: f64, average_so_far: f64, years_to_expiry: f64, window_years: f64) -> f64 {
    let (t, w) = (years_to_expiry, window_years);
    if !(w > 0.0 && t < w) {
        return forward;
    }
    let left = t.max(0.0) / w;
    forward.mul_add(left, average_so_far * (1.0 - left))
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: f64 = 1.0 / MINUTES_PER_YEAR;

    fn check(minutes: f64, window: f64, expect: f64) {
        let got = variance_years(minutes * MINUTE, window * MINUTE) / MINUTE;
        assert!((got - expect).abs() < 1e-9, "{minutes} minutes, window {window}: {got} instead of {expect}");
    }

    #[test]
    fn averaging_takes_two_thirds_of_the_window() {
        check(60.0, 30.0, 40.0);
        check(30.0, 30.0, 10.0);
        check(15.0, 30.0, 1.25);
        check(60.0, 0.0, 60.0);
        check(-5.0, 30.0, -5.0);
    }

    #[test]
    fn settlement_moves_from_forward_to_average() {
        let settlement = |minutes: f64| settlement_forward(100.0, 90.0, minutes * MINUTE, 30.0 * MINUTE);
        assert_eq!(settlement(45.0), 100.0);
        assert!((settlement(15.0) - 95.0).abs() < 1e-12);
        assert_eq!(settlement(0.0), 90.0);
    }

    #[test]
    fn years_are_minutes() {
        let hour = 3_600_000_000_000;
        assert!((calendar_years(5, 5 + hour) - 60.0 * MINUTE).abs() < 1e-18);
        assert!(calendar_years(hour, 0) < 0.0);
        assert!(calendar_years(i64::MIN, i64::MAX).is_finite());
    }
}
