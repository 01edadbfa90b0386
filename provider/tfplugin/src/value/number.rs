//! Numbers without loss. Terraform computes with 512 bits and sends what fits as an integer or a float and
//! the rest as decimal text, so one value can arrive in several forms; here each value has one form only.

use std::cmp::Ordering;
use std::fmt;

/// A longer decimal text than this is refused; Terraform's own 512 bits need about 160 digits, and the
/// smallest float written out in full needs 1,076.
const TEXT_MAX: usize = 4096;

/// A number, compared by value and not by how it was written.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Number(Form);

/// The first form in this order that holds the value exactly; so equal values have equal forms.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
enum Form {
    Int(i64),
    UInt(u64),
    Float(Finite),
    /// Value = digits · 10^exponent, with no zero at either end of the digits.
    Decimal {
        negative: bool,
        exponent: i64,
        digits: String,
    },
    Infinity {
        negative: bool,
    },
}

/// A float that is neither NaN nor infinite nor a whole number that fits an integer.
#[derive(Clone, Copy, Debug)]
struct Finite(f64);

impl PartialEq for Finite {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}
impl Eq for Finite {}
impl PartialOrd for Finite {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}
impl Ord for Finite {
    fn cmp(&self, other: &Self) -> Ordering {
        self.0.total_cmp(&other.0)
    }
}
impl std::hash::Hash for Finite {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        self.0.to_bits().hash(state);
    }
}

/// The text is not a decimal number.
#[derive(Debug, thiserror::Error)]
#[error("not a decimal number")]
pub struct NumberError;

/// How a number goes over the wire.
#[derive(Debug, PartialEq)]
pub(crate) enum Wire {
    Int(i64),
    Float(f64),
    Text(String),
}

impl Number {
    /// Exactly the binary value of `float`; `None` for NaN. `Number::from(0.1)` is the decimal 0.1 instead,
    /// which is what `0.1` in a configuration means.
    pub fn from_binary(float: f64) -> Option<Self> {
        if float.is_nan() {
            return None;
        }
        if float.is_infinite() {
            return Some(Self(Form::Infinity {
                negative: float < 0.0,
            }));
        }
        if float.fract() == 0.0 && float.abs() < 1.9e19 {
            // Whole, and at most 20 digits and a sign: the text is exact and short.
            let text = format!("{float:.0}");
            if let Ok(whole) = text.parse::<i64>() {
                return Some(Self(Form::Int(whole)));
            }
            if let Ok(whole) = text.parse::<u64>() {
                return Some(Self(Form::UInt(whole)));
            }
        }
        Some(Self(Form::Float(Finite(float))))
    }

    /// Reads decimal text: `-12`, `0.5`, `1e400`, also `inf` and `-inf`.
    pub fn parse(text: &str) -> Result<Self, NumberError> {
        match text {
            "inf" | "+inf" | "Inf" | "+Inf" => return Ok(Self(Form::Infinity { negative: false })),
            "-inf" | "-Inf" => return Ok(Self(Form::Infinity { negative: true })),
            _ => {}
        }
        if let Ok(whole) = text.parse::<i64>() {
            return Ok(Self(Form::Int(whole)));
        }
        let decimal = Decimal::parse(text)?;
        if let Some(whole) = decimal.to_integer() {
            return Ok(Self(whole));
        }
        // Only a float whose exact expansion has these very digits may stand for the text.
        if let Ok(float) = text.parse::<f64>()
            && float.is_finite()
            && float != 0.0
            && Decimal::of_float(float) == decimal
        {
            return Ok(Self(Form::Float(Finite(float))));
        }
        let Decimal {
            negative,
            exponent,
            digits,
        } = decimal;
        Ok(Self(Form::Decimal {
            negative,
            exponent,
            digits,
        }))
    }

    /// The value as `i64`, if it is exactly one.
    pub fn as_i64(&self) -> Option<i64> {
        match self.0 {
            Form::Int(whole) => Some(whole),
            _ => None,
        }
    }

    /// The value as `u64`, if it is exactly one.
    pub fn as_u64(&self) -> Option<u64> {
        match self.0 {
            Form::Int(whole) => u64::try_from(whole).ok(),
            Form::UInt(whole) => Some(whole),
            _ => None,
        }
    }

    /// The nearest `f64`.
    pub fn as_f64(&self) -> f64 {
        match &self.0 {
            Form::Float(Finite(float)) => *float,
            Form::Infinity { negative: true } => f64::NEG_INFINITY,
            Form::Infinity { negative: false } => f64::INFINITY,
            _ => self.to_string().parse().unwrap_or(f64::NAN),
        }
    }

    pub(crate) fn to_wire(&self) -> Wire {
        match &self.0 {
            Form::Int(whole) => Wire::Int(*whole),
            Form::Float(Finite(float)) => Wire::Float(*float),
            Form::Infinity { negative: true } => Wire::Float(f64::NEG_INFINITY),
            Form::Infinity { negative: false } => Wire::Float(f64::INFINITY),
            Form::UInt(_) | Form::Decimal { .. } => Wire::Text(self.to_string()),
        }
    }
}

/// A decimal in normal form: no zero at either end of `digits`; zero has no digits.
#[derive(Debug, PartialEq)]
struct Decimal {
    negative: bool,
    exponent: i64,
    digits: String,
}

impl Decimal {
    fn parse(text: &str) -> Result<Self, NumberError> {
        if text.len() > TEXT_MAX {
            return Err(NumberError);
        }
        let (negative, rest) = match text.as_bytes().first() {
            Some(b'-') => (true, &text[1..]),
            Some(b'+') => (false, &text[1..]),
            _ => (false, text),
        };
        let (mantissa, power) = match rest.split_once(['e', 'E']) {
            Some((mantissa, power)) => (mantissa, power.parse::<i32>().map_err(|_| NumberError)?),
            None => (rest, 0),
        };
        let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
        let all_digits = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
        if (whole.is_empty() && fraction.is_empty()) || !all_digits(whole) || !all_digits(fraction)
        {
            return Err(NumberError);
        }
        let written = format!("{whole}{fraction}");
        let shift = i64::try_from(fraction.len()).map_err(|_| NumberError)?;
        Ok(Self::normal(negative, i64::from(power) - shift, &written))
    }

    /// The exact value of a finite float; Rust prints as many true digits as it is asked for.
    fn of_float(float: f64) -> Self {
        let text = format!("{:.1080}", float.abs());
        let (whole, fraction) = text.split_once('.').unwrap_or((&text, ""));
        Self::normal(
            float < 0.0,
            -i64::try_from(fraction.len()).unwrap_or(0),
            &format!("{whole}{fraction}"),
        )
    }

    fn normal(negative: bool, exponent: i64, written: &str) -> Self {
        let right = written.trim_end_matches('0');
        let zeros = i64::try_from(written.len() - right.len()).unwrap_or(0);
        let digits = right.trim_start_matches('0').to_owned();
        if digits.is_empty() {
            return Self {
                negative: false,
                exponent: 0,
                digits,
            };
        }
        Self {
            negative,
            exponent: exponent + zeros,
            digits,
        }
    }

    fn to_integer(&self) -> Option<Form> {
        if self.digits.is_empty() {
            return Some(Form::Int(0));
        }
        let zeros = usize::try_from(self.exponent)
            .ok()
            .filter(|zeros| *zeros <= 20)?;
        let sign = if self.negative { "-" } else { "" };
        let text = format!("{sign}{}{}", self.digits, "0".repeat(zeros));
        match text.parse::<i64>() {
            Ok(whole) => Some(Form::Int(whole)),
            Err(_) => text.parse::<u64>().ok().map(Form::UInt),
        }
    }
}

impl fmt::Display for Number {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Form::Int(whole) => write!(f, "{whole}"),
            Form::UInt(whole) => write!(f, "{whole}"),
            Form::Float(Finite(float)) => write!(f, "{float:?}"),
            Form::Infinity { negative } => f.write_str(if *negative { "-inf" } else { "inf" }),
            Form::Decimal {
                negative,
                exponent,
                digits,
            } => {
                let sign = if *negative { "-" } else { "" };
                let point = -*exponent;
                match usize::try_from(point) {
                    Ok(point) if point > 0 && point < digits.len() => {
                        let (whole, fraction) = digits.split_at(digits.len() - point);
                        write!(f, "{sign}{whole}.{fraction}")
                    }
                    Ok(point) if point > 0 && point <= digits.len() + 6 => {
                        write!(f, "{sign}0.{}{digits}", "0".repeat(point - digits.len()))
                    }
                    Ok(0) => write!(f, "{sign}{digits}"),
                    _ => write!(f, "{sign}{digits}e{exponent}"),
                }
            }
        }
    }
}

macro_rules! from_integer {
    ($($int:ty),*) => {$(
        impl From<$int> for Number {
            fn from(whole: $int) -> Self {
                Self(Form::Int(i64::from(whole)))
            }
        }
    )*};
}
from_integer!(i8, i16, i32, i64, u8, u16, u32);

impl From<u64> for Number {
    fn from(whole: u64) -> Self {
        Self(i64::try_from(whole).map_or(Form::UInt(whole), Form::Int))
    }
}

impl From<usize> for Number {
    fn from(whole: usize) -> Self {
        Self::from(u64::try_from(whole).unwrap_or(u64::MAX))
    }
}

/// The shortest decimal that reads back as this float, which is what a person means by it. NaN, which
/// Terraform does not have, becomes zero.
impl From<f64> for Number {
    fn from(float: f64) -> Self {
        Self::parse(&format!("{float:?}")).unwrap_or(Self(Form::Int(0)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn one_value_has_one_form_however_it_was_written() {
        let cases = [
            ("1", "1.0"),
            ("1", "10e-1"),
            ("0", "-0.000"),
            ("0.5", "5e-1"),
            ("18446744073709551615", "1.8446744073709551615e19"),
            ("1e400", "10e399"),
            ("0.1", "0.10"),
        ];
        for (left, right) in cases {
            assert_eq!(
                Number::parse(left).unwrap(),
                Number::parse(right).unwrap(),
                "{left} {right}"
            );
        }
        assert_eq!(
            Number::parse("0.5").unwrap(),
            Number::from_binary(0.5).unwrap()
        );
        assert_eq!(
            Number::parse("9223372036854775808").unwrap(),
            Number::from_binary(2f64.powi(63)).unwrap()
        );
        assert_ne!(
            Number::parse("0.1").unwrap(),
            Number::from_binary(0.1).unwrap(),
            "0.1 is no binary fraction"
        );
        assert_eq!(Number::parse("0.1").unwrap(), Number::from(0.1));
    }

    #[test]
    fn text_that_is_no_number_is_refused() {
        for text in [
            "",
            "-",
            ".",
            "e5",
            "1e",
            "0x10",
            "1_000",
            "NaN",
            "1e99999999999",
            "١",
        ] {
            assert!(Number::parse(text).is_err(), "{text}");
        }
        assert!(Number::parse(&"9".repeat(TEXT_MAX + 1)).is_err());
    }

    proptest! {
        #[test]
        fn every_number_reads_back_from_its_text(float in any::<f64>(), whole in any::<u64>(), text in "-?[0-9]{1,40}(\\.[0-9]{1,40})?(e-?[0-9]{1,3})?") {
            let mut all = vec![Number::from(whole), Number::parse(&text).unwrap()];
            all.extend(Number::from_binary(float));
            for number in all {
                let again = match number.to_wire() {
                    Wire::Int(whole) => Number::from(whole),
                    Wire::Float(float) => Number::from_binary(float).unwrap(),
                    Wire::Text(text) => Number::parse(&text).unwrap(),
                };
                prop_assert_eq!(&again, &number);
            }
        }
    }
}
