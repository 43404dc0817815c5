use std::ops::Bound;

use lentil_macros::{Document, ValueType};
use lentil_schema::{Document, Id, IntoRange, KeyPart, RangeSpec, Schema};
use lentil_values::{DocumentId, InternalId, Nullable, TableNumber, UnixMillis, Value};

/// The state of a task.
#[derive(ValueType, Clone, Debug, PartialEq)]
pub(crate) enum Status {
    /// Not started.
    Open,
    /// Finished.
    Done,
}

/// A task.
#[derive(Document, Clone, Debug, PartialEq)]
#[table("tasks")]
#[unique(by_title(title))]
#[index(by_owner_and_dueAt(owner, due_at))]
#[index(by_status(status))]
#[index(by_parent(parent))]
pub(crate) struct Task {
    /// The title.
    title: String,
    /// The owner, if there is one.
    owner: Option<String>,
    /// The deadline.
    due_at: f64,
    /// The state.
    status: Status,
    /// The task that it is a part of.
    parent: Option<Id<Task>>,
}

fn field(value: impl Into<Value>) -> KeyPart {
    KeyPart::Field(Some(value.into()))
}

fn spec(range: impl IntoRange<Task>) -> RangeSpec {
    range.into_range()
}

fn id() -> Id<Task> {
    Id::new(DocumentId {
        table: TableNumber::FIRST_USER,
        internal: InternalId::at(5.0, 7),
    })
}

#[test]
fn the_range_of_a_whole_table_has_no_bounds() {
    assert_eq!(
        spec(Task::all()),
        RangeSpec::all("tasks", "by_creation_time")
    );
    assert_eq!(
        spec(Task::BY_CREATION_TIME),
        RangeSpec::all("tasks", "by_creation_time")
    );
    assert_eq!(spec(Task::BY_ID), RangeSpec::all("tasks", "by_id"));
    assert_eq!(
        spec(Task::BY_TITLE.all()),
        RangeSpec::all("tasks", "by_title")
    );
}

#[test]
fn equalities_come_first_and_bounds_are_of_the_next_field() {
    let range = spec(Task::BY_OWNER_AND_DUE_AT.eq("ada").gt(5.0).lte(9.0));
    let expected = RangeSpec {
        eq: vec![field("ada")],
        lower: Bound::Excluded(field(5.0)),
        upper: Bound::Included(field(9.0)),
        ..RangeSpec::all("tasks", "by_owner_and_dueAt")
    };
    assert_eq!(range, expected);
    assert_eq!(
        spec(Task::BY_OWNER_AND_DUE_AT.eq("ada").lte(9.0).gt(5.0)),
        expected,
        "bounds can be in either order"
    );
    let half_open = spec(Task::BY_CREATION_TIME.gte(5.0).lt(9.0));
    assert_eq!(
        (half_open.lower, half_open.upper),
        (Bound::Included(field(5.0)), Bound::Excluded(field(9.0)))
    );
}

#[test]
fn the_creation_time_and_the_id_are_the_last_fields_of_an_index() {
    let range = spec(Task::BY_TITLE.eq("a").eq(5.0).eq(id()));
    assert_eq!(
        range.eq,
        [
            field("a"),
            field(5.0),
            KeyPart::Id(id().document_id().internal)
        ]
    );
    assert_eq!(
        spec(Task::BY_ID.gt(id())).lower,
        Bound::Excluded(KeyPart::Id(id().document_id().internal))
    );
}

#[test]
fn a_key_can_be_borrowed_owned_or_optional() {
    let (text, title) = ("a".to_owned(), [field("a")]);
    for range in [
        Task::BY_TITLE.eq("a"),
        Task::BY_TITLE.eq(&text),
        Task::BY_TITLE.eq(text.clone()),
    ] {
        assert_eq!(spec(range).eq, title);
    }
    let by_owner = Task::BY_OWNER_AND_DUE_AT;
    for range in [
        by_owner.eq("a"),
        by_owner.eq(&text),
        by_owner.eq(text.clone()),
        by_owner.eq(Some(text.clone())),
    ] {
        assert_eq!(spec(range).eq, title);
    }
    assert_eq!(spec(by_owner.eq(None)).eq, [KeyPart::Field(None)]);
    assert_eq!(spec(Task::BY_STATUS.eq(Status::Done)).eq, [field("done")]);
    let (borrowed, owned) = (&id(), id());
    assert_eq!(spec(Task::BY_ID.eq(borrowed)), spec(Task::BY_ID.eq(owned)));
    for range in [
        Task::BY_PARENT.eq(borrowed),
        Task::BY_PARENT.eq(owned),
        Task::BY_PARENT.eq(Some(owned)),
    ] {
        assert_eq!(
            spec(range).eq,
            [field(owned.to_string())],
            "the id of another document is indexed as its text"
        );
    }
}

#[test]
fn only_unique_attributes_declare_unique_indexes() {
    let unique: Vec<_> = Task::table()
        .indexes()
        .iter()
        .map(|index| (index.name.clone(), index.unique))
        .collect();
    let expected = [
        ("by_title", true),
        ("by_owner_and_dueAt", false),
        ("by_status", false),
        ("by_parent", false),
    ];
    assert_eq!(
        unique,
        expected.map(|(name, unique)| (name.to_owned(), unique))
    );
}

/// The place of an event.
#[derive(ValueType, Clone, Debug, PartialEq)]
struct Place {
    #[rename("_name")]
    name: String,
    room: Option<String>,
}

/// An action. Each variant has the tag.
#[derive(ValueType, Clone, Debug, PartialEq)]
#[tag("kind")]
enum Action {
    Moved { to: Place },
    Spoke { text: String },
}

/// A remark. One variant does not have the tag.
#[derive(ValueType, Clone, Debug, PartialEq)]
enum Remark {
    Silence,
    Text { text: String },
}

/// An event, with indexes over nested fields.
#[derive(Document, Clone, Debug, PartialEq)]
#[table("events")]
#[index(by_kind(player_id, action.kind))]
#[index(by_place(place.name, place.room))]
#[index(by_origin(origin.name))]
#[index(by_target(target.place.name))]
#[index(by_remark(remark.r#type))]
#[unique(by_time(created_at))]
struct Event {
    player_id: String,
    action: Action,
    place: Place,
    origin: Option<Place>,
    target: Nullable<Target>,
    remark: Remark,
    created_at: UnixMillis,
}

/// The target of an event.
#[derive(ValueType, Clone, Debug, PartialEq)]
struct Target {
    place: Place,
}

fn event_spec(range: impl IntoRange<Event>) -> RangeSpec {
    range.into_range()
}

#[test]
fn an_index_contains_the_paths_of_nested_fields() {
    let table = Event::table();
    let paths = table.indexes().iter().map(|index| {
        let fields: Vec<_> = index.fields.iter().map(ToString::to_string).collect();
        fields.join(",")
    });
    assert_eq!(
        paths.collect::<Vec<_>>(),
        [
            "playerId,action.kind",
            "place._name,place.room",
            "origin._name",
            "target.place._name",
            "remark.type",
            "createdAt"
        ]
    );
    assert_eq!(Schema::new().table::<Event>().check(), Ok(()));
}

#[test]
fn keys_of_nested_fields_have_the_types_of_the_fields() {
    let range = event_spec(Event::BY_KIND.eq("p").eq("moved"));
    assert_eq!(range.eq, [field("p"), field("moved")]);
    let range = event_spec(Event::BY_PLACE.eq("hall").gt(None));
    assert_eq!(range.lower, Bound::Excluded(KeyPart::Field(None)));
}

#[test]
fn a_nested_field_is_optional_if_an_outer_object_is() {
    let missing = [KeyPart::Field(None)];
    assert_eq!(event_spec(Event::BY_ORIGIN.eq(None)).eq, missing);
    assert_eq!(event_spec(Event::BY_ORIGIN.eq("hall")).eq, [field("hall")]);
    assert_eq!(event_spec(Event::BY_TARGET.eq(None)).eq, missing);
    assert_eq!(event_spec(Event::BY_REMARK.eq(None)).eq, missing);
    assert_eq!(event_spec(Event::BY_REMARK.eq("text")).eq, [field("text")]);
}

#[test]
fn a_time_is_a_key_of_its_own_type_and_of_the_creation_time() {
    let time = UnixMillis::new(5.0);
    for range in [
        event_spec(Event::BY_TIME.gte(time)),
        event_spec(Event::BY_CREATION_TIME.gte(time)),
    ] {
        assert_eq!(range.lower, Bound::Included(field(5.0)));
    }
}
