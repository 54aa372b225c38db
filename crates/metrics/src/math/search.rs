//! `SEARCH`: metrics by their names, namespaces and dimensions.
//!
//! Source: `https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/search-expression-syntax.html`.
//! A word finds metrics that have all its parts (`cpuUtilization` has two) among the parts of their
//! names and values, in any case; a word in quotes finds a name or value that is exactly it.

use crate::MetricKey;

const MAX_DEPTH: usize = 32;

/// A search expression.
#[derive(Debug, Clone, PartialEq)]
pub struct Search {
    /// Namespace and dimension names, from `{…}`.
    schema: Option<(String, Vec<String>)>,
    terms: Option<Term>,
}

#[derive(Debug, Clone, PartialEq)]
enum Term {
    And(Vec<Term>),
    Or(Vec<Term>),
    Not(Box<Term>),
    /// Of one property, or of any.
    Word {
        of: Property,
        text: String,
        exact: bool,
    },
}

#[derive(Debug, Clone, PartialEq)]
enum Property {
    Any,
    Namespace,
    MetricName,
    /// `:dim.Name` or a dimension's name.
    Dimension(String),
}

#[derive(Debug, Clone, PartialEq)]
enum Token {
    Sign(char),
    Word(String),
    Quoted(String),
}

impl Search {
    pub fn parse(text: &str) -> Result<Self, String> {
        let mut parser = Parser {
            tokens: tokens(text)?,
            at: 0,
            depth: 0,
        };
        let schema = parser.schema()?;
        let terms = match parser.peek() {
            None => None,
            Some(_) => Some(parser.any_of()?),
        };
        if parser.peek().is_some() {
            return Err("SEARCH: the expression does not end where it should.".into());
        }
        if schema.is_none() && terms.is_none() {
            return Err("SEARCH: the expression is empty.".into());
        }
        Ok(Self { schema, terms })
    }

    pub fn finds(&self, key: &MetricKey) -> bool {
        if let Some((namespace, dimensions)) = &self.schema {
            let same = key.dimensions.len() == dimensions.len()
                && dimensions
                    .iter()
                    .all(|d| key.dimensions.iter().any(|(n, _)| n == d));
            if *namespace != key.namespace || !same {
                return false;
            }
        }
        self.terms.as_ref().is_none_or(|t| t.finds(key))
    }
}

impl Term {
    fn finds(&self, key: &MetricKey) -> bool {
        match self {
            Self::And(all) => all.iter().all(|t| t.finds(key)),
            Self::Or(any) => any.iter().any(|t| t.finds(key)),
            Self::Not(term) => !term.finds(key),
            Self::Word { of, text, exact } => {
                let texts: Vec<&str> = match of {
                    Property::Namespace => vec![&key.namespace],
                    Property::MetricName => vec![&key.name],
                    Property::Dimension(name) => key
                        .dimensions
                        .iter()
                        .filter(|(n, _)| n == name)
                        .map(|(_, v)| v.as_str())
                        .collect(),
                    Property::Any => [key.namespace.as_str(), key.name.as_str()]
                        .into_iter()
                        .chain(
                            key.dimensions
                                .iter()
                                .flat_map(|(n, v)| [n.as_str(), v.as_str()]),
                        )
                        .collect(),
                };
                if *exact {
                    return texts.contains(&text.as_str());
                }
                let has: Vec<String> = texts.iter().flat_map(|t| parts(t)).collect();
                parts(text).iter().all(|p| has.contains(p))
            }
        }
    }
}

/// `CPUUtilization-2` → cpu, utilization, 2.
fn parts(text: &str) -> Vec<String> {
    let letters: Vec<char> = text.chars().collect();
    let mut parts = vec![String::new()];
    for (i, c) in letters.iter().enumerate() {
        let before = i.checked_sub(1).map(|b| letters[b]);
        let after = letters.get(i + 1);
        let begins = before.is_some_and(|b| {
            (c.is_uppercase() && b.is_lowercase())
                || (c.is_uppercase() && b.is_uppercase() && after.is_some_and(|a| a.is_lowercase()))
                || (c.is_numeric() != b.is_numeric())
        });
        if begins || !c.is_alphanumeric() {
            parts.push(String::new());
        }
        if c.is_alphanumeric()
            && let Some(part) = parts.last_mut()
        {
            part.extend(c.to_lowercase());
        }
    }
    parts.retain(|p| !p.is_empty());
    parts
}

fn tokens(text: &str) -> Result<Vec<Token>, String> {
    let mut tokens = Vec::new();
    let mut rest = text.chars().peekable();
    while let Some(c) = rest.next() {
        match c {
            _ if c.is_whitespace() => {}
            '{' | '}' | '(' | ')' | ',' | '=' => tokens.push(Token::Sign(c)),
            '"' => {
                let mut word = String::new();
                loop {
                    match rest.next() {
                        None => return Err("SEARCH: a quote is not closed.".into()),
                        Some('"') => break,
                        Some('\\') => word.extend(rest.next()),
                        Some(c) => word.push(c),
                    }
                }
                tokens.push(Token::Quoted(word));
            }
            _ => {
                let mut word = String::from(c);
                while let Some(c) = rest.next_if(|c| !c.is_whitespace() && !"{}(),=\"".contains(*c))
                {
                    word.push(c);
                }
                tokens.push(Token::Word(word));
            }
        }
    }
    Ok(tokens)
}

struct Parser {
    tokens: Vec<Token>,
    at: usize,
    depth: usize,
}

impl Parser {
    fn peek(&self) -> Option<&Token> {
        self.tokens.get(self.at)
    }
    fn takes(&mut self, token: &Token) -> bool {
        let found = self.peek() == Some(token);
        self.at += usize::from(found);
        found
    }
    fn text(&mut self) -> Option<String> {
        match self.peek() {
            Some(Token::Word(text) | Token::Quoted(text)) => {
                let text = text.clone();
                self.at += 1;
                Some(text)
            }
            _ => None,
        }
    }

    fn schema(&mut self) -> Result<Option<(String, Vec<String>)>, String> {
        if !self.takes(&Token::Sign('{')) {
            return Ok(None);
        }
        let bad = || "SEARCH: a schema is {Namespace,Dimension,…}.".to_owned();
        let namespace = self.text().ok_or_else(bad)?;
        let mut dimensions = Vec::new();
        while self.takes(&Token::Sign(',')) {
            dimensions.push(self.text().ok_or_else(bad)?);
        }
        if !self.takes(&Token::Sign('}')) {
            return Err(bad());
        }
        Ok(Some((namespace, dimensions)))
    }

    fn any_of(&mut self) -> Result<Term, String> {
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            return Err(format!(
                "SEARCH: it is nested deeper than {MAX_DEPTH} levels."
            ));
        }
        let mut any = vec![self.all_of()?];
        while self.takes(&Token::Word("OR".into())) {
            any.push(self.all_of()?);
        }
        self.depth -= 1;
        Ok(if any.len() == 1 {
            any.remove(0)
        } else {
            Term::Or(any)
        })
    }

    /// Words beside each other are all wanted.
    fn all_of(&mut self) -> Result<Term, String> {
        let mut all = vec![self.one()?];
        loop {
            let and = self.takes(&Token::Word("AND".into()));
            match self.peek() {
                Some(Token::Word(word)) if word == "OR" && !and => break,
                None | Some(Token::Sign(')')) if !and => break,
                _ => all.push(self.one()?),
            }
        }
        Ok(if all.len() == 1 {
            all.remove(0)
        } else {
            Term::And(all)
        })
    }

    fn one(&mut self) -> Result<Term, String> {
        if self.takes(&Token::Word("NOT".into())) {
            self.depth += 1;
            if self.depth > MAX_DEPTH {
                return Err(format!(
                    "SEARCH: it is nested deeper than {MAX_DEPTH} levels."
                ));
            }
            let term = self.one()?;
            self.depth -= 1;
            return Ok(Term::Not(Box::new(term)));
        }
        if self.takes(&Token::Sign('(')) {
            let inner = self.any_of()?;
            if !self.takes(&Token::Sign(')')) {
                return Err("SEARCH: a parenthesis is not closed.".into());
            }
            return Ok(inner);
        }
        let exact = matches!(self.peek(), Some(Token::Quoted(_)));
        let Some(text) = self.text() else {
            return Err("SEARCH: a word is expected.".into());
        };
        if !self.takes(&Token::Sign('=')) {
            let of = Property::Any;
            return Ok(Term::Word { of, text, exact });
        }
        let of = match text.as_str() {
            "Namespace" => Property::Namespace,
            "MetricName" => Property::MetricName,
            name => Property::Dimension(name.strip_prefix(":dim.").unwrap_or(name).to_owned()),
        };
        if self.takes(&Token::Sign('(')) {
            let mut any = Vec::new();
            loop {
                let exact = matches!(self.peek(), Some(Token::Quoted(_)));
                let Some(text) = self.text() else {
                    return Err("SEARCH: a value is expected.".into());
                };
                let of = of.clone();
                any.push(Term::Word { of, text, exact });
                if self.takes(&Token::Sign(')')) {
                    return Ok(Term::Or(any));
                }
                self.takes(&Token::Word("OR".into()));
            }
        }
        let exact = matches!(self.peek(), Some(Token::Quoted(_)));
        match self.text() {
            Some(text) => Ok(Term::Word { of, text, exact }),
            None => Err("SEARCH: a value is expected.".into()),
        }
    }
}
