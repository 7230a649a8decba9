use proptest::prelude::*;

use super::*;

fn text(write: impl Fn(&mut Vec<u8>)) -> String {
    let mut out = Vec::new();
    write(&mut out);
    String::from_utf8(out).unwrap()
}

fn nine(value: f64) -> String {
    text(|out| put_nine_digits(out, value))
}

fn check(value: u64) {
    assert_eq!(text(|out| put_unsigned(out, value)), value.to_string());
    let instant = value.cast_signed();
    assert_eq!(text(|out| put_instant(out, instant)), instant.to_string());
}

#[test]
fn digits_are_those_of_the_standard_library() {
    (0..70_000).for_each(check);
    for power in (0..20).map(|exponent| 10u64.pow(exponent)) {
        [power - 1, power, power + 1].into_iter().for_each(check);
    }
    check(u64::MAX);
    let spread = std::iter::successors(Some(1u64), |value| value.checked_mul(3)?.checked_add(7));
    spread.for_each(check);
}

#[test]
fn every_pair_of_digits_is_right_in_every_place() {
    for place in [1, 100, 10_000, 1_000_000] {
        (0..100).for_each(|pair| check(pair * place));
    }
    (0..10_000).for_each(|four| check(four * 10_000 + 9_999));
}

#[test]
fn hundredths_have_one_or_two_places() {
    for (value, expect) in
        [(0, "0.0"), (5, "0.05"), (10, "0.1"), (48_310, "483.1"), (99_999_999, "999999.99")]
    {
        assert_eq!(text(|out| put_hundredths(out, value)), expect);
    }
}

#[test]
fn nine_digits_read_well() {
    for (value, expect) in [
        (0.0, "0.0"),
        (1.0, "1.0"),
        (-1.5, "-1.5"),
        (0.065, "0.065"),
        (1.0 / 3.0, "0.333333333"),
        (2.0 / 3.0 * 1e-5, "6.66666667e-6"),
        (25_012.354_321_987, "25012.3543"),
        (0.000_01, "0.00001"),
        (0.000_009, "9.0e-6"),
        (1.234_567_891_23e-12, "1.23456789e-12"),
        (99_999_999.9, "99999999.9"),
        (99_999_999.96, "1.0e8"),
        (123_456_789.0, "1.23456789e8"),
        (0.999_999_999_9, "1.0"),
        (-9.999_999_999, "-10.0"),
        (5e-324, "5e-324"),
        (-f64::MAX, "-1.7976931348623157e+308"),
    ] {
        assert_eq!(nine(value), expect, "{value:e}");
    }
}

#[test]
fn powers_of_ten_keep_their_exponent() {
    for exponent in -40..40 {
        let power: f64 = format!("1e{exponent}").parse().unwrap();
        assert_eq!(nine(power).parse(), Ok(power));
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn nine_digits_are_at_most_five_of_a_billion_off(
        value in prop_oneof![any::<f64>(), -1e9..1e9, -1.0..1.0, -1e-4..1e-4],
    ) {
        prop_assume!(value.is_finite());
        let written = nine(value);
        let read: f64 = written.parse().unwrap();
        prop_assert!((read - value).abs() <= 5.000_001e-9 * value.abs(), "{} is written {}", value, written);
        prop_assert_eq!(read.is_sign_negative(), value.is_sign_negative());
        prop_assert!(written.contains(['.', 'e']) && written.len() <= LONGEST);
    }
}
