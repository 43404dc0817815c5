use std::sync::Arc;

use lentil_values::{FieldName, JsonForm, NameError, Object, Value};

use crate::kind::Visibility;

/// A signed-in user, with the claims of a verified token: `ctx.auth.user_identity()` returns it.
///
/// Every identity has an issuer, a subject and a token identifier. It has a name, an email address
/// and further claims if its token has them. Identities with equal claims are the same user.
///
/// ```
/// use lentil_call::UserIdentity;
/// use lentil_values::Value;
///
/// let ada = UserIdentity::new("https://login.example.com", "u1")
///     .with("name", "Ada")?
///     .with("role", "editor")?;
/// assert_eq!(ada.token_identifier(), "https://login.example.com|u1");
/// assert_eq!((ada.name(), ada.email()), (Some("Ada"), None));
/// assert_eq!(ada.claim("role").and_then(Value::as_str), Some("editor"));
/// # Ok::<(), lentil_values::NameError>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct UserIdentity {
    attributes: Object,
}

impl UserIdentity {
    /// Returns the user that `issuer` calls `subject`.
    pub fn new(issuer: &str, subject: &str) -> UserIdentity {
        // Convex's form. Applications store it as the key of a user.
        let token_identifier = format!("{issuer}|{subject}");
        let mut attributes = Object::new();
        attributes.insert(FieldName::from_static("issuer"), Value::from(issuer));
        attributes.insert(FieldName::from_static("subject"), Value::from(subject));
        attributes.insert(
            FieldName::from_static("tokenIdentifier"),
            Value::from(token_identifier),
        );
        UserIdentity { attributes }
    }

    /// Adds a claim. The three claims that every identity has cannot be replaced.
    ///
    /// # Errors
    /// When `name` is not a field name.
    pub fn with(mut self, name: &str, value: impl Into<Value>) -> Result<UserIdentity, NameError> {
        let field = FieldName::new(name.to_owned())?;
        if !matches!(name, "issuer" | "subject" | "tokenIdentifier") {
            self.attributes.insert(field, value.into());
        }
        Ok(self)
    }

    /// Returns the provider that signed the user in, e.g. `https://login.example.com`.
    pub fn issuer(&self) -> &str {
        self.text("issuer").unwrap_or_default()
    }

    /// Returns the issuer's id for the user.
    pub fn subject(&self) -> &str {
        self.text("subject").unwrap_or_default()
    }

    /// Returns `<issuer>|<subject>`, which identifies the user among all issuers.
    pub fn token_identifier(&self) -> &str {
        self.text("tokenIdentifier").unwrap_or_default()
    }

    /// Returns the user's full name.
    pub fn name(&self) -> Option<&str> {
        self.text("name")
    }

    /// Returns the user's email address. The issuer may not have verified it; see the claim
    /// `emailVerified`.
    pub fn email(&self) -> Option<&str> {
        self.text("email")
    }

    /// Returns a claim by the name that Convex gives it, e.g. `pictureUrl`.
    pub fn claim(&self, name: &str) -> Option<&Value> {
        self.attributes.get(name)
    }

    /// Returns every claim, as `ctx.auth.getUserIdentity()` returns them in Convex.
    pub fn attributes(&self) -> &Object {
        &self.attributes
    }

    fn text(&self, name: &str) -> Option<&str> {
        self.attributes.get(name).and_then(Value::as_str)
    }
}

/// The caller on whose behalf a function runs.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum Identity {
    /// Nobody is signed in.
    #[default]
    Anonymous,
    /// A user whose token was verified.
    User(Arc<UserIdentity>),
    /// The administrator, who may call internal functions and act as a user.
    Admin {
        /// The user that functions see.
        acting_as: Option<Arc<UserIdentity>>,
    },
}

impl Identity {
    /// Returns the user that functions see.
    pub fn user(&self) -> Option<&UserIdentity> {
        match self {
            Identity::Anonymous => None,
            Identity::User(user) => Some(user),
            Identity::Admin { acting_as } => acting_as.as_deref(),
        }
    }

    /// Returns whether the caller is the administrator.
    pub fn is_admin(&self) -> bool {
        matches!(self, Identity::Admin { .. })
    }

    /// Returns the name of this kind of caller in Convex's log.
    pub fn name(&self) -> &'static str {
        match self {
            Identity::Anonymous => "unknown",
            Identity::User(_) => "user",
            Identity::Admin { acting_as: None } => "instance_admin",
            Identity::Admin { acting_as: Some(_) } => "member_acting_user",
        }
    }

    /// Returns a text that is equal for the same user and different for others.
    pub fn key(&self) -> Arc<str> {
        self.user().map_or_else(Arc::default, |user| {
            // An object's fields are ordered by name, so that equal claims have the same text.
            user.attributes.to_json(JsonForm::Encoded).into()
        })
    }

    /// Returns which functions the caller may call: only the administrator may call internal ones.
    pub fn visibility(&self) -> Visibility {
        if self.is_admin() {
            Visibility::Internal
        } else {
            Visibility::Public
        }
    }
}
