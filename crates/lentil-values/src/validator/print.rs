use std::fmt;

use super::{FieldValidator, ObjectValidator, Validator};

impl fmt::Display for Validator {
    /// Prints the validator as its author wrote it: `v.object({a: v.string()})`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Validator::Any => f.write_str("v.any()"),
            Validator::Null => f.write_str("v.null()"),
            Validator::Float64 => f.write_str("v.number()"),
            Validator::Int64 => f.write_str("v.int64()"),
            Validator::Boolean => f.write_str("v.boolean()"),
            Validator::String => f.write_str("v.string()"),
            Validator::Bytes => f.write_str("v.bytes()"),
            Validator::Id(table) => write!(f, "v.id({table:?})"),
            Validator::Literal(value) => write!(f, "v.literal({value})"),
            Validator::Array(element) => write!(f, "v.array({element})"),
            Validator::Record { keys, values } => write!(f, "v.record({keys}, {values})"),
            Validator::Union(members) => {
                f.write_str("v.union(")?;
                for (at, member) in members.iter().enumerate() {
                    write!(f, "{}{member}", if at > 0 { ", " } else { "" })?;
                }
                f.write_str(")")
            }
            Validator::Object(object) => object.fmt(f),
        }
    }
}

impl fmt::Display for ObjectValidator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("v.object({")?;
        for (at, (name, field)) in self.0.iter().enumerate() {
            write!(f, "{}{name}: {field}", if at > 0 { ", " } else { "" })?;
        }
        f.write_str("})")
    }
}

impl fmt::Display for FieldValidator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.optional {
            write!(f, "v.optional({})", self.validator)
        } else {
            self.validator.fmt(f)
        }
    }
}
