use lentil_macros::Args;
use lentil_schema::{Args, IntoArgs};
use lentil_values::{Nullable, Object, ObjectValidator, Value, v};

/// The arguments of a search.
#[derive(Args, Clone, Debug, PartialEq)]
pub(crate) struct Search {
    /// The words to search for.
    search_text: String,
    /// The maximum number of results.
    limit: Option<f64>,
    /// The position of the first result.
    cursor: Nullable<String>,
}

fn search() -> Search {
    Search {
        search_text: "lentil".into(),
        limit: None,
        cursor: Nullable::Null,
    }
}

#[test]
fn derived_arguments_equal_the_validator_built_by_hand() {
    let by_hand = ObjectValidator::new([
        ("searchText", v::string().into()),
        ("limit", v::optional(v::number())),
        ("cursor", v::union([v::null(), v::string()]).into()),
    ]);
    assert_eq!(*Search::validator(), by_hand);
}

#[test]
fn arguments_round_trip() {
    let object = search().into_object();
    assert_eq!(Search::validator().validate(&object, &()), Ok(()));
    assert_eq!(
        object.len(),
        2,
        "null is an argument, and a missing argument is not"
    );
    assert_eq!(Search::from_object(object), Ok(search()));
}

#[test]
fn unknown_arguments_are_rejected() {
    let error = Search::from_object(Object::from([("searchTxt", "x")])).unwrap_err();
    assert_eq!(
        error.to_string(),
        "`searchText`: missing, expected v.string()"
    );
    let mut object = search().into_object();
    object.insert(lentil_values::FieldName::from_static("page"), Value::Null);
    assert_eq!(
        Search::from_object(object).unwrap_err().to_string(),
        "`page`: unknown field"
    );
    assert_eq!(
        <() as Args>::from_object(Object::from([("page", 1.0)]))
            .unwrap_err()
            .to_string(),
        "`page`: unknown field"
    );
}

#[test]
fn arguments_are_a_struct_an_object_or_a_value() {
    let object = search().into_object();
    assert_eq!(IntoArgs::<Search>::into_args(search()), Ok(object.clone()));
    assert_eq!(
        IntoArgs::<Search>::into_args(object.clone()),
        Ok(object.clone())
    );
    assert_eq!(
        IntoArgs::<Search>::into_args(Value::Object(object.clone())),
        Ok(object)
    );
    assert!(IntoArgs::<Search>::into_args(Value::Null).is_err());
    assert_eq!(IntoArgs::<()>::into_args(()), Ok(Object::new()));
}
