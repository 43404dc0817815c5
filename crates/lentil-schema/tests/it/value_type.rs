use lentil_macros::{Args, ValueType};
use lentil_schema::Args;
use lentil_values::{Object, Value, ValueType, object, v};

/// A state.
#[derive(ValueType, Clone, Debug, PartialEq)]
pub(crate) enum Status {
    /// Not started.
    Queued,
    /// Started.
    #[rename("in-progress")]
    InProgress,
    /// Finished.
    AllDone,
}

/// A shape, tagged with its kind.
#[derive(ValueType, Clone, Debug, PartialEq)]
#[tag("kind")]
pub(crate) enum Shape {
    /// A circle.
    Circle {
        /// The radius.
        radius: f64,
    },
    /// A polygon. Its fields have the names of variables in the derived code.
    #[rename("poly")]
    Polygon {
        /// The number of sides.
        side_count: Option<i64>,
        /// The field `fields`.
        fields: Vec<String>,
        /// The field `object`.
        object: bool,
        /// The field `value`.
        value: bool,
    },
    /// The absence of a shape.
    None,
    /// Names of shapes.
    Named(Vec<String>),
}

/// Content with the default tag, and a unit variant with the literal of another variant's tag.
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
fn an_enum_of_unit_variants_is_a_union_of_literals() {
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
fn every_kind_of_variant_round_trips() {
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
fn the_default_tag_is_type() {
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
fn the_error_of_a_tagged_object_is_about_the_variant_of_its_tag() {
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

/// The fields of a point, and one more.
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
fn the_fields_of_a_flattened_field_are_beside_the_others() {
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
#[should_panic(expected = "the field `x` occurs twice")]
fn a_flattened_type_with_a_field_of_the_same_name_panics() {
    #[derive(ValueType)]
    struct Hiding {
        x: f64,
        #[flatten]
        point: Point,
    }
    Hiding::validator();
}

#[test]
#[should_panic(expected = "#[flatten] needs a type that is an object, and not v.number()")]
fn flattening_a_number_panics() {
    #[derive(ValueType)]
    struct Odd {
        #[flatten]
        number: f64,
    }
    Odd::validator();
}

/// A row with the names of the system fields.
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
fn an_object_literal_can_contain_derived_types() {
    let object = object! { "status": Status::AllDone, "shapes": vec![Shape::None] };
    assert_eq!(object.get("status"), Some(&Value::from("allDone")));
    assert_eq!(
        object.get("shapes"),
        Some(&Value::Array(vec!["none".into()]))
    );
}
