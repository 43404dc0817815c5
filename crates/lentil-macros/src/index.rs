use proc_macro2::TokenStream;
use quote::{format_ident, quote};
use syn::ext::IdentExt;
use syn::parse::{Parse, ParseStream};
use syn::punctuated::Punctuated;
use syn::{Attribute, Ident, Meta, Result, Token, parenthesized};

use crate::fields::Field;
use crate::misuse::Misuse;
use crate::names::{check_name, constant_name};

/// `#[index(by_jobId(job_id, status))]`, or with `unique` at the end
pub(crate) struct Index<'f> {
    name: Ident,
    fields: Vec<&'f Field<'f>>,
    unique: bool,
}

/// An index as it is written.
struct Written {
    name: Ident,
    fields: Vec<Ident>,
    unique: bool,
}

impl Parse for Written {
    fn parse(input: ParseStream<'_>) -> Result<Written> {
        let name = ident(input)?;
        if !input.peek(syn::token::Paren) {
            return Err(Misuse::IndexSyntax.at(name));
        }
        let content;
        parenthesized!(content in input);
        let fields = Punctuated::<Ident, Token![,]>::parse_terminated_with(&content, own_field)?;
        if fields.is_empty() {
            return Err(Misuse::IndexSyntax.at(name));
        }
        let unique = unique(input)?;
        Ok(Written {
            name,
            fields: fields.into_iter().collect(),
            unique,
        })
    }
}

/// What may stand after the fields: `, unique`.
fn unique(input: ParseStream<'_>) -> Result<bool> {
    let refused = |input: ParseStream<'_>| syn::Error::new(input.span(), Misuse::AfterIndexFields);
    if input.is_empty() {
        return Ok(false);
    }
    input.parse::<Token![,]>().map_err(|_| refused(input))?;
    if input.is_empty() {
        return Ok(false);
    }
    let word = input
        .fork()
        .call(Ident::parse_any)
        .map_err(|_| refused(input))?;
    if word != "unique" {
        return Err(refused(input));
    }
    ident(input)?;
    input.parse::<Option<Token![,]>>()?;
    if input.is_empty() {
        Ok(true)
    } else {
        Err(refused(input))
    }
}

fn ident(input: ParseStream<'_>) -> Result<Ident> {
    input
        .call(Ident::parse_any)
        .map_err(|error| syn::Error::new(error.span(), Misuse::IndexSyntax))
}

fn own_field(input: ParseStream<'_>) -> Result<Ident> {
    let field = ident(input)?;
    if input.peek(Token![.]) {
        Err(Misuse::NestedIndexField.at(field))
    } else {
        Ok(field)
    }
}

/// The indexes that a struct's attributes declare, each checked against its fields.
pub(crate) fn read<'f>(
    attributes: &[Attribute],
    fields: &'f [Field<'f>],
) -> Result<Vec<Index<'f>>> {
    let mut indexes: Vec<Index<'f>> = Vec::new();
    for attribute in attributes
        .iter()
        .filter(|attribute| attribute.path().is_ident("index"))
    {
        let Meta::List(list) = &attribute.meta else {
            return Err(Misuse::IndexSyntax.at(attribute));
        };
        let index = check(list.parse_args()?, fields)?;
        if let Some(other) = indexes
            .iter()
            .find(|other| other.constant() == index.constant())
        {
            let (ident, other, name) = (
                index.name.to_string(),
                other.name.to_string(),
                index.constant(),
            );
            return Err(Misuse::SameName {
                ident,
                other,
                what: "index",
                name: &name,
            }
            .at(&index.name));
        }
        indexes.push(index);
    }
    Ok(indexes)
}

fn check<'f>(written: Written, fields: &'f [Field<'f>]) -> Result<Index<'f>> {
    let name = written.name.to_string();
    check_name("an index", &name, &written.name)?;
    if matches!(name.as_str(), "by_id" | "by_creation_time") {
        return Err(Misuse::SystemIndex { name: &name }.at(&written.name));
    }
    for (at, field) in written.fields.iter().enumerate() {
        if written.fields[..at].contains(field) {
            return Err(Misuse::FieldTwice {
                field: &field.to_string(),
                index: &name,
            }
            .at(field));
        }
    }
    let found = written
        .fields
        .iter()
        .map(|field| find(field, fields))
        .collect::<Result<_>>()?;
    Ok(Index {
        name: written.name,
        fields: found,
        unique: written.unique,
    })
}

fn find<'f>(name: &Ident, fields: &'f [Field<'f>]) -> Result<&'f Field<'f>> {
    fields
        .iter()
        .find(|field| field.ident.unraw() == name.unraw())
        .ok_or_else(|| {
            let text = name.to_string();
            if matches!(
                text.as_str(),
                "_id" | "_creationTime" | "id" | "creation_time"
            ) {
                return Misuse::SystemField.at(name);
            }
            if text == "unique" {
                return Misuse::UniqueAmongFields.at(name);
            }
            let known = fields.iter().map(|field| field.ident.to_string()).collect();
            Misuse::UnknownField {
                field: &text,
                known,
            }
            .at(name)
        })
}

impl Index<'_> {
    fn constant(&self) -> String {
        constant_name(&self.name.to_string())
    }

    /// `.index("by_jobId", ["jobId"])`, or `.unique_index(…)`
    pub(crate) fn declaration(&self) -> TokenStream {
        let name = self.name.to_string();
        let fields = self.fields.iter().map(|field| &field.name);
        let method = format_ident!("{}", if self.unique { "unique_index" } else { "index" });
        quote!(.#method(#name, [#(#fields),*]))
    }

    /// `pub const BY_JOB_ID: Index<Job, (String, Ending<Job>)>`
    pub(crate) fn definition(&self) -> TokenStream {
        let name = self.name.to_string();
        let constant = format_ident!("{}", self.constant(), span = self.name.span());
        let end = quote!(::lentil::__derive::Ending<Self>);
        let types = self.fields.iter().rev().fold(end, |rest, field| {
            let ty = field.ty;
            quote!((#ty, #rest))
        });
        let listed: Vec<_> = self
            .fields
            .iter()
            .map(|field| format!("`{}`", field.name))
            .collect();
        let doc = match self.unique {
            true => {
                format!(
                    "The unique index `{name}`: by {}; no two documents are equal there.",
                    listed.join(", then ")
                )
            }
            false => format!(
                "The index `{name}`: by {}, then by creation.",
                listed.join(", then ")
            ),
        };
        quote! {
            #[doc = #doc]
            pub const #constant: ::lentil::__derive::Index<Self, #types> = ::lentil::__derive::Index::new(#name);
        }
    }
}
