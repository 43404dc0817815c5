use lentil_schema::{Document, Patch, Table};
use lentil_values::{DecodeError, FieldName, Object, Validator, Value, ValueType, v};

use crate::database::SystemDocument;

/// A scheduled function's document, in the system's table `_scheduled_functions`.
///
/// It is read with `ctx.db.system`, by the id that [`crate::Scheduler::run_after`] returns; a week after the function
/// is over it is deleted.
#[derive(Clone, Debug, PartialEq)]
pub struct ScheduledFunction {
    /// The function's path, in the form of JavaScript: `jobs.js:upsert`.
    pub name: String,
    /// Its arguments: an array of one object.
    pub args: Vec<Value>,
    /// When it is to run, in milliseconds since the Unix epoch; as it was asked for, even if that is past.
    pub scheduled_time: f64,
    /// When it was over.
    pub completed_time: Option<f64>,
    /// What has become of it.
    pub state: ScheduledState,
}

/// What has become of a scheduled function.
#[derive(Clone, Debug, PartialEq)]
pub enum ScheduledState {
    /// It has not run.
    Pending,
    /// An action that runs.
    InProgress,
    /// It has run.
    Success,
    /// It has failed; a mutation has written nothing then, an action may have done part of its work.
    Failed {
        /// Why.
        error: String,
    },
    /// It was canceled before it was over.
    Canceled,
}

impl ScheduledState {
    /// Whether it is still to run, or runs.
    pub fn is_open(&self) -> bool {
        matches!(self, ScheduledState::Pending | ScheduledState::InProgress)
    }

    pub(super) fn kind(&self) -> &'static str {
        match self {
            ScheduledState::Pending => "pending",
            ScheduledState::InProgress => "inProgress",
            ScheduledState::Success => "success",
            ScheduledState::Failed { .. } => "failed",
            ScheduledState::Canceled => "canceled",
        }
    }
}

impl ValueType for ScheduledState {
    fn validator() -> Validator {
        let plain = ["pending", "inProgress", "success", "canceled"];
        let plain = plain.map(|kind| v::object([("kind", v::literal(kind))]));
        let failed = v::object([("kind", v::literal("failed")), ("error", v::string())]);
        v::union(plain.into_iter().chain([failed]))
    }

    fn into_value(self) -> Value {
        let kind = [(FieldName::from_static("kind"), Value::from(self.kind()))];
        let error = match self {
            ScheduledState::Failed { error } => {
                Some((FieldName::from_static("error"), Value::from(error)))
            }
            _ => None,
        };
        Value::Object(kind.into_iter().chain(error).collect())
    }

    fn from_value(value: Value) -> Result<ScheduledState, DecodeError> {
        let object = Object::from_value(value)?;
        let text = |name| object.get(name).and_then(Value::as_str).unwrap_or_default();
        match text("kind") {
            "pending" => Ok(ScheduledState::Pending),
            "inProgress" => Ok(ScheduledState::InProgress),
            "success" => Ok(ScheduledState::Success),
            "failed" => Ok(ScheduledState::Failed {
                error: text("error").to_owned(),
            }),
            "canceled" => Ok(ScheduledState::Canceled),
            other => Err(DecodeError::new(format!(
                "`{other}` is no state of a scheduled function"
            ))
            .in_field("kind")),
        }
    }
}

impl SystemDocument for ScheduledFunction {}

impl Document for ScheduledFunction {
    const TABLE: &'static str = "_scheduled_functions";

    type Patch = Patch<ScheduledFunction>;

    fn table() -> Table {
        Table::new(ScheduledFunction::TABLE)
            .field("name", v::string())
            .field("args", v::array(v::any()))
            .field("scheduledTime", v::number())
            .optional("completedTime", v::number())
            .field("state", ScheduledState::validator())
    }

    fn into_fields(self) -> Object {
        let fields = [
            ("name", self.name.into_value()),
            ("args", self.args.into_value()),
            ("scheduledTime", self.scheduled_time.into_value()),
            ("state", self.state.into_value()),
        ];
        let completed_time = self
            .completed_time
            .map(|time| ("completedTime", Value::Float64(time)));
        let fields = fields.into_iter().chain(completed_time);
        fields
            .map(|(name, value)| (FieldName::from_static(name), value))
            .collect()
    }

    fn from_fields(mut fields: Object) -> Result<ScheduledFunction, DecodeError> {
        let completed_time = fields
            .remove("completedTime")
            .map(f64::from_value)
            .transpose()?;
        let mut take = |name: &str| {
            fields
                .remove(name)
                .ok_or_else(|| DecodeError::new("missing").in_field(name))
        };
        Ok(ScheduledFunction {
            name: String::from_value(take("name")?)?,
            args: Vec::from_value(take("args")?)?,
            scheduled_time: f64::from_value(take("scheduledTime")?)?,
            completed_time,
            state: ScheduledState::from_value(take("state")?)?,
        })
    }

    fn patch() -> Patch<ScheduledFunction> {
        Patch::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_document_round_trips_and_fits_the_table() {
        let failed = ScheduledState::Failed { error: "no".into() };
        let states = [
            ScheduledState::Pending,
            ScheduledState::InProgress,
            ScheduledState::Success,
            failed,
        ];
        for state in states.into_iter().chain([ScheduledState::Canceled]) {
            for completed_time in [None, Some(2.0)] {
                let document = ScheduledFunction {
                    name: "jobs.js:upsert".into(),
                    args: vec![Value::Object(Object::new())],
                    scheduled_time: 1.0,
                    completed_time,
                    state: state.clone(),
                };
                let fields = document.clone().into_fields();
                ScheduledFunction::table().validate(&fields, &()).unwrap();
                assert_eq!(ScheduledFunction::from_fields(fields), Ok(document));
            }
        }
    }
}
