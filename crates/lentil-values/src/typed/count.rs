use super::error::DecodeError;
use super::traits::{ReturnType, ValueType};
use crate::validator::{Validator, v};
use crate::value::Value;

/// The largest integer up to which a double represents every integer: 2^53.
const MAX_EXACT_INTEGER: u64 = 1 << 53;

macro_rules! count {
    ($($rust:ty)*) => {
        $(/// A count is a `v.number()`. A count above 2^53, which a double may not represent exactly, fails the call.
        #[diagnostic::do_not_recommend]
        impl ReturnType for $rust {
            fn return_validator() -> Validator {
                v::number()
            }

            fn into_return(self) -> Value {
                let count = self as u64;
                if count <= MAX_EXACT_INTEGER {
                    Value::Float64(count as f64)
                } else {
                    // The return validator rejects an integer, so that no rounded count is
                    // returned.
                    Value::Int64(i64::try_from(count).unwrap_or(i64::MAX))
                }
            }

            fn from_return(value: Value) -> Result<$rust, DecodeError> {
                let number = f64::from_value(value)?;
                // The cast saturates and truncates. A fraction, a negative number and NaN
                // therefore differ from their count below.
                let count = number as $rust;
                if count as f64 == number && number <= MAX_EXACT_INTEGER as f64 {
                    Ok(count)
                } else {
                    Err(DecodeError::new(format!(
                        "expected a whole number that fits in {}, got {number}",
                        stringify!($rust)
                    )))
                }
            }
        })*
    };
}

count!(u32 usize);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_are_numbers_up_to_the_largest_exact_one() {
        assert_eq!(7_u32.into_return(), Value::Float64(7.0));
        assert_eq!(usize::from_return(Value::Float64(7.0)), Ok(7));
        assert_eq!(usize::return_validator(), v::number());

        let largest = MAX_EXACT_INTEGER as usize;
        assert_eq!(usize::from_return(largest.into_return()), Ok(largest));

        for too_large in [largest + 1, usize::MAX] {
            let value = too_large.into_return();
            assert!(usize::return_validator().validate(&value, &()).is_err());
        }
    }

    #[test]
    fn numbers_that_are_not_counts_are_rejected() {
        for number in [-1.0, 1.5, f64::NAN, f64::INFINITY, 1e16] {
            assert!(usize::from_return(Value::Float64(number)).is_err());
        }
        assert_eq!(
            u32::from_return(Value::Float64(4_294_967_296.0))
                .unwrap_err()
                .to_string(),
            "expected a whole number that fits in u32, got 4294967296"
        );
        assert!(u32::from_return(Value::Int64(1)).is_err());
    }
}
