use std::fmt;

use proc_macro2::{Group, Span, TokenStream, TokenTree};
use quote::{ToTokens, format_ident, quote};
use syn::ext::IdentExt;
use syn::parse::{Parse, ParseStream};
use syn::punctuated::Punctuated;
use syn::{Attribute, Ident, Meta, Result, Token, parenthesized};

use crate::attributes::check_name;
use crate::fields::Field;
use crate::misuse::Misuse;
use crate::names::constant_name;
use crate::nested::name_type;

/// `#[index(by_jobId(job_id, status))]` or `#[unique(by_jobId(job_id))]`.
pub(crate) struct Index<'f> {
    name: Ident,
    fields: Vec<IndexedField<'f>>,
    kind: IndexKind,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum IndexKind {
    Plain,
    Unique,
}

impl IndexKind {
    fn of(attribute: &Attribute) -> Option<IndexKind> {
        if attribute.path().is_ident("index") {
            Some(IndexKind::Plain)
        } else if attribute.path().is_ident("unique") {
            Some(IndexKind::Unique)
        } else {
            None
        }
    }

    fn syntax(self) -> Misuse<'static> {
        let attribute = match self {
            IndexKind::Plain => "index",
            IndexKind::Unique => "unique",
        };
        Misuse::IndexSyntax { attribute }
    }
}

/// A field of the struct, or one nested in it.
struct IndexedField<'f> {
    field: &'f Field<'f>,
    /// The names that lead from the field to the nested one: `kind` in `data.kind`.
    nested: Vec<Ident>,
}

/// An index as its author wrote it.
struct Written {
    name: Ident,
    fields: Vec<WrittenField>,
    /// The tokens after the fields.
    rest: TokenStream,
}

impl Parse for Written {
    fn parse(input: ParseStream<'_>) -> Result<Written> {
        let name = Ident::parse_any(input)?;
        let content;
        parenthesized!(content in input);
        let fields = Punctuated::<WrittenField, Token![,]>::parse_terminated(&content)?;
        Ok(Written {
            name,
            fields: fields.into_iter().collect(),
            // Consumed here, because syn would otherwise report the rest in its own words.
            rest: input.parse()?,
        })
    }
}

/// `job_id` or `data.kind`.
struct WrittenField(Punctuated<Ident, Token![.]>);

impl Parse for WrittenField {
    fn parse(input: ParseStream<'_>) -> Result<WrittenField> {
        // A field may have the name of a keyword: the tag of an enum is `type` by default.
        Punctuated::parse_separated_nonempty_with(input, Ident::parse_any).map(WrittenField)
    }
}

impl fmt::Display for WrittenField {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<String> = self.0.iter().map(Ident::to_string).collect();
        f.write_str(&names.join("."))
    }
}

/// Reads the indexes that a struct's attributes declare, and checks each against the fields.
pub(crate) fn read<'f>(
    attributes: &[Attribute],
    fields: &'f [Field<'f>],
) -> Result<Vec<Index<'f>>> {
    let mut indexes: Vec<Index<'f>> = Vec::new();
    for attribute in attributes {
        let Some(kind) = IndexKind::of(attribute) else {
            continue;
        };
        let index = check(written(attribute, kind)?, kind, fields)?;

        let constant = index.constant();
        if let Some(other) = indexes.iter().find(|other| other.constant() == constant) {
            let misuse = Misuse::SameName {
                idents: [&other.name, &index.name],
                what: "index",
                name: &constant,
            };
            return Err(misuse.at(&index.name));
        }
        indexes.push(index);
    }
    Ok(indexes)
}

fn written(attribute: &Attribute, kind: IndexKind) -> Result<Written> {
    let Meta::List(list) = &attribute.meta else {
        return Err(kind.syntax().at(attribute));
    };
    match list.parse_args::<Written>() {
        Ok(written) if !written.fields.is_empty() && written.rest.is_empty() => Ok(written),
        _ => Err(kind.syntax().at(attribute)),
    }
}

fn check<'f>(written: Written, kind: IndexKind, fields: &'f [Field<'f>]) -> Result<Index<'f>> {
    let name = written.name.to_string();
    check_name("an index", &name, &written.name)?;
    if matches!(name.as_str(), "by_id" | "by_creation_time") {
        return Err(Misuse::SystemIndex { name: &name }.at(&written.name));
    }
    for (at, field) in written.fields.iter().enumerate() {
        if written.fields[..at].iter().any(|other| other.0 == field.0) {
            let misuse = Misuse::FieldTwice {
                field: &field.to_string(),
                index: &name,
            };
            return Err(misuse.at(&field.0));
        }
    }
    let mut found = Vec::new();
    for field in written.fields {
        let mut names = field.0.into_iter();
        let first = names.next().expect("a written field has a name");
        found.push(IndexedField {
            field: find(&first, fields)?,
            nested: names.collect(),
        });
    }
    Ok(Index {
        name: written.name,
        fields: found,
        kind,
    })
}

fn find<'f>(name: &Ident, fields: &'f [Field<'f>]) -> Result<&'f Field<'f>> {
    let found = fields
        .iter()
        .find(|field| field.ident.unraw() == name.unraw());
    found.ok_or_else(|| {
        // After the search: `id` and `creation_time` may also be fields of the author.
        let text = name.to_string();
        if matches!(
            text.as_str(),
            "_id" | "_creationTime" | "id" | "creation_time"
        ) {
            return Misuse::SystemField.at(name);
        }
        let known = fields.iter().map(|field| field.ident.to_string()).collect();
        let misuse = Misuse::UnknownField {
            field: &text,
            known,
        };
        misuse.at(name)
    })
}

impl Index<'_> {
    fn constant(&self) -> String {
        constant_name(&self.name.to_string())
    }

    /// Returns `.index("by_jobId", ["jobId"])` or `.unique_index(…)`.
    pub(crate) fn declaration(&self) -> TokenStream {
        let name = self.name.to_string();
        let fields = self.fields.iter().map(IndexedField::path);
        let method = match self.kind {
            IndexKind::Plain => format_ident!("index"),
            IndexKind::Unique => format_ident!("unique_index"),
        };
        quote!(.#method(#name, [#(#fields),*]))
    }

    /// Returns `pub const BY_JOB_ID: Index<Job, (String, Ending<Job>)> = …`.
    pub(crate) fn definition(&self) -> TokenStream {
        let name = self.name.to_string();
        let constant = format_ident!("{}", self.constant(), span = self.name.span());
        let end = quote!(::lentil::__derive::Ending<Self>);
        let types = self.fields.iter().rev().fold(end, |rest, field| {
            let ty = field.ty();
            quote!((#ty, #rest))
        });
        let listed: Vec<String> = self.fields.iter().map(IndexedField::shown).collect();
        let listed = listed.join(", then ");
        let doc = match self.kind {
            IndexKind::Plain => {
                format!("The index `{name}`: by {listed}, then by creation time.")
            }
            IndexKind::Unique => {
                format!("The unique index `{name}`: no two documents have the same {listed}.")
            }
        };
        let definition = quote! {
            #[doc = #doc]
            pub const #constant: ::lentil::__derive::Index<Self, #types> =
                ::lentil::__derive::Index::new(<Self as ::lentil::__derive::Document>::TABLE, #name);
        };
        // An error about a nested field is about the whole constant too, and is shown once if it
        // has the same place.
        let nested = self.fields.iter().flat_map(|field| &field.nested).next();
        match nested {
            Some(nested) => at(place_of(nested), definition),
            None => definition,
        }
    }
}

impl IndexedField<'_> {
    /// Returns an expression of type `&str` with the path in a document.
    fn path(&self) -> TokenStream {
        let first = &self.field.name;
        let Some(last) = self.nested.last() else {
            return quote!(#first);
        };
        let mut names = vec![quote!(#first)];
        let mut owner = self.field.ty.to_token_stream();
        for name in &self.nested {
            names.push(nested_item(&owner, name, quote!(NAME)));
            owner = nested_item(&owner, name, quote!(Type));
        }
        at(place_of(last), quote!([#(#names),*].join(".").as_str()))
    }

    /// Returns the type of the field.
    fn ty(&self) -> TokenStream {
        let own = self.field.ty.to_token_stream();
        self.nested
            .iter()
            .fold(own, |owner, name| nested_item(&owner, name, quote!(Type)))
    }

    /// Returns the path for the documentation.
    fn shown(&self) -> String {
        let nested = self.nested.iter().map(|name| format!(".{name}"));
        format!("`{}{}`", self.field.name, nested.collect::<String>())
    }
}

/// Returns `<Owner as NestedField<Name>>::Item`. An error about it underlines the name.
///
/// The derived code contains it several times. The compiler shows errors once that have the same
/// text and place.
fn nested_item(owner: &TokenStream, name: &Ident, item: TokenStream) -> TokenStream {
    let field = name_type(&name.unraw().to_string());
    at(
        place_of(name),
        quote!(<#owner as ::lentil::__derive::NestedField<#field>>::#item),
    )
}

/// Returns the place of a name in the attribute.
fn place_of(name: &Ident) -> Span {
    name.span().resolved_at(Span::call_site())
}

/// Moves the tokens to a place in the source.
fn at(place: Span, tokens: TokenStream) -> TokenStream {
    let moved = tokens.into_iter().map(|token| {
        let mut token = match token {
            TokenTree::Group(group) => {
                TokenTree::from(Group::new(group.delimiter(), at(place, group.stream())))
            }
            other => other,
        };
        token.set_span(place);
        token
    });
    moved.collect()
}
