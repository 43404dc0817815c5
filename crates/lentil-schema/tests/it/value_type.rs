use lentil_macros::{Args, ValueType};
use lentil_schema::Args;
use lentil_values::{Object, Value, ValueType, object, v};

/// How far something is.
#[derive(ValueType, Clone, Debug, PartialEq)]
pub(crate) enum Status {
    /// Not begun.
    Queued,
    /// Begun.
    #[rename("in-progress")]
    InProgress,
    /// Ended.
    AllDone,
}

/// A shape, told apart by its kind.
#[derive(ValueType, Clone, Debug, PartialEq)]
#[tag("kind")]
pub(crate) enum Shape {
    /// Round.
    Circle {
        /// How far it reaches.
        radius: f64,
    },
    /// With names that the derive's own code could have used.
    #[rename("poly")]
    Polygon {
        /// Its sides.
        side_count: Option<i64>,
        /// Its fields.
        fields: Vec<String>,
        /// Its object.
        object: bool,
        /// Its value.
        value: bool,
    },
    /// No shape.
    None,
    /// A shape by its name.
    Named(Vec<String>),
}

/// Told apart by the usual tag, and one variant called as another's tag.
#[derive(ValueType, Clone, Debug, PartialEq)]
pub(crate) enum Content {
    Text {
        body: String,
    },
    #[rename("text")]
    AnyText,
}

fn round_trip<T: ValueType + Clone + PartialEq + std::fmt::Debug>(
    typed: &T,
    value: impl Into<Value>,
) {
    let value = value.into();
    assert_eq!(typed.clone().into_value(), value);
    assert_eq!(T::validator().validate(&value, &()), Ok(()));
    assert_eq!(T::from_value(value).as_ref(), Ok(typed));
}

#[test]
fn an_enum_of_names_is_a_union_of_literals() {
    let literals = ["queued", "in-progress", "allDone"];
    assert_eq!(Status::validator(), v::union(literals.map(v::literal)));
    round_trip(&Status::Queued, "queued");
    round_trip(&Status::InProgress, "in-progress");
    let error = Status::from_value("done".into()).unwrap_err().to_string();
    assert!(
        error.starts_with("expected v.union(v.literal(\"queued\"), "),
        "{error}"
    );
}

#[test]
fn an_enum_with_fields_is_a_union_of_tagged_objects() {
    let circle = v::object([("kind", v::literal("circle")), ("radius", v::number())]);
    let polygon = v::object([
        ("kind", v::literal("poly").into()),
        ("sideCount", v::optional(v::int64())),
        ("fields", v::array(v::string()).into()),
        ("object", v::boolean().into()),
        ("value", v::boolean().into()),
    ]);
    let union = v::union([circle, polygon, v::literal("none"), v::array(v::string())]);
    assert_eq!(Shape::validator(), union);
}

#[test]
fn every_kind_of_variant_comes_back_the_same() {
    let circle: Object = [("kind", "circle".into()), ("radius", Value::Float64(2.0))].into();
    round_trip(&Shape::Circle { radius: 2.0 }, circle);
    let polygon: Object = [
        ("fields", Value::Array(vec!["a".into()])),
        ("kind", "poly".into()),
        ("object", true.into()),
        ("value", false.into()),
    ]
    .into();
    round_trip(
        &Shape::Polygon {
            side_count: None,
            fields: vec!["a".into()],
            object: true,
            value: false,
        },
        polygon,
    );
    round_trip(&Shape::None, "none");
    round_trip(
        &Shape::Named(vec!["square".into()]),
        Value::Array(vec!["square".into()]),
    );
}

#[test]
fn the_tag_is_called_type_unless_it_is_told_otherwise() {
    let text: Object = [("type", "text"), ("body", "hello")].into();
    round_trip(
        &Content::Text {
            body: "hello".into(),
        },
        text,
    );
    round_trip(&Content::AnyText, "text");
}

#[test]
fn the_error_of_a_tagged_object_is_about_the_variant_that_was_meant() {
    let circle = |radius: Value, further: &'static str| {
        let fields = [
            ("kind", "circle".into()),
            ("radius", radius.clone()),
            (further, radius),
        ];
        Shape::from_value(Object::from(fields).into())
            .unwrap_err()
            .to_string()
    };
    assert_eq!(
        circle("big".into(), "radius"),
        "`radius`: expected v.number(), got \"big\""
    );
    assert_eq!(circle(1.0.into(), "color"), "`color`: unknown field");
}

/// A document's fields, and one more beside them.
#[derive(ValueType, Clone, Debug, PartialEq)]
struct Labelled {
    label: Option<String>,
    #[flatten]
    point: Point,
}

#[derive(ValueType, Clone, Debug, PartialEq)]
struct Point {
    x: f64,
    y: f64,
}

#[test]
fn a_flattened_field_stands_beside_the_others() {
    let point = Point { x: 1.0, y: 2.0 };
    let labelled = Labelled {
        label: Some("a".into()),
        point: point.clone(),
    };
    let value = Object::from([
        ("label", Value::from("a")),
        ("x", 1.0.into()),
        ("y", 2.0.into()),
    ]);
    round_trip(&labelled, value.clone());
    round_trip(
        &Labelled { label: None, point },
        Object::from([("x", 1.0), ("y", 2.0)]),
    );
    let unknown = Object::from([
        ("x", Value::from(1.0)),
        ("y", 2.0.into()),
        ("z", 3.0.into()),
    ]);
    assert_eq!(
        Labelled::from_value(unknown.into())
            .unwrap_err()
            .to_string(),
        "`z`: unknown field"
    );
    let printed = "v.object({label: v.optional(v.string()), x: v.number(), y: v.number()})";
    assert_eq!(Labelled::validator().to_string(), printed);
}

#[test]
#[should_panic(expected = "the field `x` is there twice")]
fn a_flattened_field_hides_no_other() {
    #[derive(ValueType)]
    struct Hiding {
        x: f64,
        #[flatten]
        point: Point,
    }
    Hiding::validator();
}

#[test]
#[should_panic(expected = "#[flatten] takes a type that is an object, and v.number() is none")]
fn what_is_no_object_cannot_be_flattened() {
    #[derive(ValueType)]
    struct Odd {
        #[flatten]
        number: f64,
    }
    Odd::validator();
}

/// A row as a client writes it, with the system's fields.
#[derive(Args, ValueType, Clone, Debug, PartialEq)]
struct Row {
    #[rename("_id")]
    id: String,
    #[rename("_creationTime")]
    creation_time: f64,
}

#[test]
fn a_value_and_arguments_may_have_fields_that_begin_with_an_underscore() {
    let row = Row {
        id: "x".into(),
        creation_time: 5.0,
    };
    let value = object! { "_creationTime": 5.0, "_id": "x" };
    round_trip(&row, value.clone());
    assert_eq!(row.clone().into_object(), value);
    assert_eq!(Row::from_object(value), Ok(row));
}

#[test]
fn a_derived_type_stands_in_an_object_literal() {
    let object = object! { "status": Status::AllDone, "shapes": vec![Shape::None] };
    assert_eq!(object.get("status"), Some(&Value::from("allDone")));
    assert_eq!(
        object.get("shapes"),
        Some(&Value::Array(vec!["none".into()]))
    );
}
