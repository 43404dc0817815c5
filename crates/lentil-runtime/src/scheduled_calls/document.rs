use lentil_database::SystemDocument;
use lentil_macros::Document;
use lentil_schema::{Document, Ending, Index, Table};
use lentil_values::{DecodeError, Object, Validator, Value, ValueType, v};

/// A scheduled function's document, in the system's table `_scheduled_functions`.
///
/// Functions read it with `ctx.db.system`, by the id that [`crate::Scheduler::run_after`] returns.
/// It is deleted a week after the function has ended.
#[derive(Document, Clone, Debug, PartialEq)]
#[system]
#[table("_scheduled_functions")]
pub struct ScheduledFunction {
    /// The function's path, in the form of JavaScript: `jobs.js:upsert`.
    pub name: String,
    /// Its arguments: an array of one object.
    pub args: Vec<Value>,
    /// The time for which it was scheduled, in milliseconds since the Unix epoch; it may have been
    /// in the past.
    pub scheduled_time: f64,
    /// The time at which it ended.
    pub completed_time: Option<f64>,
    /// Its progress or result.
    pub state: ScheduledState,
}

impl SystemDocument for ScheduledFunction {}

/// A scheduled call: the document with all of its fields. Functions see it as a
/// [`ScheduledFunction`].
#[derive(Document, Clone, Debug)]
#[system]
#[table("_scheduled_functions")]
#[index(by_completion(completed_time))]
pub struct ScheduledCall {
    /// As [`ScheduledFunction::name`].
    pub name: String,
    /// As [`ScheduledFunction::args`].
    pub args: Vec<Value>,
    /// As [`ScheduledFunction::scheduled_time`].
    pub scheduled_time: f64,
    /// As [`ScheduledFunction::completed_time`].
    pub completed_time: Option<f64>,
    /// As [`ScheduledFunction::state`].
    pub state: ScheduledState,
    /// The time from which a delay counts; `None` for a call that was scheduled for a time.
    pub delayed_from: Option<f64>,
}

impl ScheduledCall {
    /// The calls of each state, by the time for which they are scheduled.
    pub const BY_STATE: Index<ScheduledCall, (String, (f64, Ending<ScheduledCall>))> =
        Index::new(ScheduledCall::TABLE, "by_state");

    /// Returns the table with all of its indexes.
    ///
    /// `ScheduledState` is not derived, so that the index over one of its fields is declared by
    /// hand.
    pub(crate) fn whole_table() -> Table {
        ScheduledCall::table().index("by_state", ["state.kind", "scheduledTime"])
    }
}

/// The progress or result of a scheduled function.
#[derive(Clone, Debug, PartialEq)]
pub enum ScheduledState {
    /// It has not started.
    Pending,
    /// It is an action, and runs.
    InProgress,
    /// It has succeeded.
    Success,
    /// It has failed. A mutation then has written nothing; an action may have done part of its
    /// work.
    Failed {
        /// The reason.
        error: String,
    },
    /// It was canceled before it ended.
    Canceled,
}

impl ScheduledState {
    /// Returns whether the function has not ended.
    pub fn is_open(&self) -> bool {
        matches!(self, ScheduledState::Pending | ScheduledState::InProgress)
    }

    /// Returns the state's name in documents.
    pub fn kind(&self) -> &'static str {
        match self {
            ScheduledState::Pending => "pending",
            ScheduledState::InProgress => "inProgress",
            ScheduledState::Success => "success",
            ScheduledState::Failed { .. } => "failed",
            ScheduledState::Canceled => "canceled",
        }
    }
}

// By hand: the variants without fields are objects here, which the derive would make literals.
impl ValueType for ScheduledState {
    fn validator() -> Validator {
        let plain = ["pending", "inProgress", "success", "canceled"];
        let plain = plain.map(|kind| v::object([("kind", v::literal(kind))]));
        let failed = v::object([("kind", v::literal("failed")), ("error", v::string())]);
        v::union(plain.into_iter().chain([failed]))
    }

    fn into_value(self) -> Value {
        let kind = self.kind();
        Value::Object(match self {
            ScheduledState::Failed { error } => {
                Object::from([("kind", Value::from(kind)), ("error", Value::from(error))])
            }
            _ => Object::from([("kind", kind)]),
        })
    }

    fn from_value(value: Value) -> Result<ScheduledState, DecodeError> {
        let object = Object::from_value(value)?;
        let text = |name| object.get(name).and_then(Value::as_str);
        match text("kind") {
            Some("pending") => Ok(ScheduledState::Pending),
            Some("inProgress") => Ok(ScheduledState::InProgress),
            Some("success") => Ok(ScheduledState::Success),
            Some("failed") => match text("error") {
                Some(error) => Ok(ScheduledState::Failed {
                    error: error.to_owned(),
                }),
                None => Err(DecodeError::new("missing, expected v.string()").in_field("error")),
            },
            Some("canceled") => Ok(ScheduledState::Canceled),
            _ => Err(DecodeError::expected(
                ScheduledState::validator(),
                &Value::Object(object),
            )),
        }
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
                ScheduledCall::whole_table().validate(&fields, &()).unwrap();
                assert_eq!(ScheduledFunction::from_fields(fields), Ok(document));
            }
        }
    }
}
