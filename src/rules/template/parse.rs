//! Builds the tree of a template.

use std::collections::BTreeMap;

use super::functions::Function;
use super::lex::{self, Piece, Token, TokenKind};

/// Deepest nesting of blocks and parentheses.
const MAX_DEPTH: usize = 100;

/// Variables that every template starts with.
pub(super) const ROOT_VARIABLES: [&str; 5] =
    ["$", "$labels", "$externalLabels", "$externalURL", "$value"];

/// A parsed template with the templates it defines.
#[derive(Debug, PartialEq)]
pub(super) struct Program {
    pub(super) body: Vec<Node>,
    pub(super) defined: BTreeMap<String, Vec<Node>>,
}

#[derive(Debug, PartialEq)]
pub(super) enum Node {
    Text(String),
    Action(Pipe),
    If(Branch),
    With(Branch),
    Range(Branch),
    Template { name: String, pipe: Option<Pipe> },
    Break,
    Continue,
}

#[derive(Debug, PartialEq)]
pub(super) struct Branch {
    pub(super) pipe: Pipe,
    pub(super) then: Vec<Node>,
    pub(super) otherwise: Vec<Node>,
}

#[derive(Debug, PartialEq)]
pub(super) struct Pipe {
    /// Variables it sets, with the dollar.
    pub(super) variables: Vec<String>,
    /// True for `=`, false for `:=`.
    pub(super) assigns: bool,
    pub(super) commands: Vec<Command>,
}

/// An operand or function with its arguments; never empty.
#[derive(Debug, PartialEq)]
pub(super) struct Command {
    pub(super) first: Operand,
    pub(super) args: Vec<Operand>,
}

#[derive(Debug, PartialEq)]
pub(super) enum Operand {
    Function(Function),
    Dot,
    Nil,
    Bool(bool),
    Int(i64),
    Float(f64),
    Str(String),
    Variable(String),
    Pipe(Box<Pipe>),
    /// Fields of an operand; of the dot for `.a.b`.
    Fields(Box<Operand>, Vec<String>),
}

type Error = (String, usize);

/// Parses `text`; the error is a message and a byte offset.
pub(super) fn parse(text: &str) -> Result<Program, Error> {
    let pieces = lex::lex(text)?;
    let mut parser = Parser {
        pieces: pieces.into_iter(),
        end: text.len(),
        defined: BTreeMap::new(),
        called: Vec::new(),
        variables: ROOT_VARIABLES.iter().map(|v| (*v).to_owned()).collect(),
        loops: 0,
        depth: 0,
    };
    let (body, stop) = parser.list()?;
    if let Stop::End(at) | Stop::Else(_, at) = stop {
        return Err(("unexpected {{end}} or {{else}}".to_owned(), at));
    }
    for (name, at) in &parser.called {
        if !parser.defined.contains_key(name) {
            return Err((format!("template {name:?} not defined"), *at));
        }
    }
    Ok(Program {
        body,
        defined: parser.defined,
    })
}

impl Program {
    /// The texts that are handed to `query` literally.
    pub(super) fn queries(&self) -> Vec<String> {
        let mut found = Vec::new();
        for nodes in std::iter::once(&self.body).chain(self.defined.values()) {
            queries_of(nodes, &mut found);
        }
        found
    }
}

fn queries_of(nodes: &[Node], found: &mut Vec<String>) {
    for node in nodes {
        match node {
            Node::Text(_) | Node::Break | Node::Continue => {}
            Node::Action(pipe) => queries_of_pipe(pipe, found),
            Node::If(b) | Node::With(b) | Node::Range(b) => {
                queries_of_pipe(&b.pipe, found);
                queries_of(&b.then, found);
                queries_of(&b.otherwise, found);
            }
            Node::Template { pipe, .. } => {
                if let Some(pipe) = pipe {
                    queries_of_pipe(pipe, found);
                }
            }
        }
    }
}

fn queries_of_pipe(pipe: &Pipe, found: &mut Vec<String>) {
    let mut before: Option<&Command> = None;
    for command in &pipe.commands {
        if command.first == Operand::Function(Function::Query) {
            let literal = match (command.args.first(), before) {
                (Some(Operand::Str(q)), _) => Some(q),
                (
                    None,
                    Some(Command {
                        first: Operand::Str(q),
                        args,
                    }),
                ) if args.is_empty() => Some(q),
                _ => None,
            };
            found.extend(literal.cloned());
        }
        for operand in std::iter::once(&command.first).chain(&command.args) {
            let mut operand = operand;
            while let Operand::Fields(of, _) = operand {
                operand = of;
            }
            if let Operand::Pipe(inner) = operand {
                queries_of_pipe(inner, found);
            }
        }
        before = Some(command);
    }
}

/// What ended a list of nodes.
enum Stop {
    /// The text.
    Text,
    /// `{{end}}`
    End(usize),
    /// `{{else …}}` with the tokens after the word.
    Else(Vec<Token>, usize),
}

struct Parser {
    pieces: std::vec::IntoIter<Piece>,
    end: usize,
    defined: BTreeMap<String, Vec<Node>>,
    called: Vec<(String, usize)>,
    variables: Vec<String>,
    loops: usize,
    depth: usize,
}

impl Parser {
    fn list(&mut self) -> Result<(Vec<Node>, Stop), Error> {
        let mut nodes = Vec::new();
        while let Some(piece) = self.pieces.next() {
            let (tokens, at) = match piece {
                Piece::Text(text) => {
                    nodes.push(Node::Text(text));
                    continue;
                }
                Piece::Action(tokens, at) => (tokens, at),
            };
            let word = match tokens.first().map(|t| &t.kind) {
                Some(TokenKind::Word(w)) => w.clone(),
                Some(_) => String::new(),
                None => return Err(("missing value for command".to_owned(), at)),
            };
            let rest = tokens[1..].to_vec();
            match word.as_str() {
                "end" => {
                    nothing_after(&rest, "end")?;
                    return Ok((nodes, Stop::End(at)));
                }
                "else" => return Ok((nodes, Stop::Else(rest, at))),
                "if" | "with" | "range" => nodes.push(self.block(&word, rest, at)?),
                "define" => {
                    let name = self.definition(&rest, at)?;
                    let kept = std::mem::replace(&mut self.variables, vec!["$".to_owned()]);
                    let loops = std::mem::take(&mut self.loops);
                    let body = self.body_until_end(at)?;
                    self.variables = kept;
                    self.loops = loops;
                    self.defined.insert(name, body);
                }
                "block" => {
                    let name = self.definition(&rest[..rest.len().min(1)], at)?;
                    let pipe = self.pipe(&rest[1..], at, "block clause")?;
                    let kept = std::mem::replace(&mut self.variables, vec!["$".to_owned()]);
                    let loops = std::mem::take(&mut self.loops);
                    let body = self.body_until_end(at)?;
                    self.variables = kept;
                    self.loops = loops;
                    self.defined.insert(name.clone(), body);
                    nodes.push(Node::Template {
                        name,
                        pipe: Some(pipe),
                    });
                }
                "template" => {
                    let name = self.definition(&rest[..rest.len().min(1)], at)?;
                    let pipe = if rest.len() > 1 {
                        Some(self.pipe(&rest[1..], at, "template clause")?)
                    } else {
                        None
                    };
                    self.called.push((name.clone(), at));
                    nodes.push(Node::Template { name, pipe });
                }
                "break" | "continue" => {
                    nothing_after(&rest, &word)?;
                    if self.loops == 0 {
                        return Err((format!("{{{{{word}}}}} outside {{{{range}}}}"), at));
                    }
                    nodes.push(if word == "break" {
                        Node::Break
                    } else {
                        Node::Continue
                    });
                }
                _ => nodes.push(Node::Action(self.pipe(&tokens, at, "command")?)),
            }
        }
        Ok((nodes, Stop::Text))
    }

    fn block(&mut self, word: &str, tokens: Vec<Token>, at: usize) -> Result<Node, Error> {
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            return Err((format!("blocks nested deeper than {MAX_DEPTH}"), at));
        }
        let mark = self.variables.len();
        let pipe = if word == "range" {
            self.range_pipe(&tokens, at)?
        } else {
            self.pipe(&tokens, at, word)?
        };
        if word == "range" {
            self.loops += 1;
        }
        let (then, stop) = self.list()?;
        if word == "range" {
            self.loops -= 1;
        }
        let otherwise = match stop {
            Stop::End(_) => Vec::new(),
            Stop::Text => return Err(self.unclosed(word, at)),
            Stop::Else(rest, else_at) => match rest.first().map(|t| t.kind.clone()) {
                None => {
                    let (nodes, stop) = self.list()?;
                    match stop {
                        Stop::End(_) => nodes,
                        Stop::Text => return Err(self.unclosed(word, at)),
                        Stop::Else(_, at) => {
                            return Err(("expected {{end}}; found {{else}}".to_owned(), at));
                        }
                    }
                }
                // `else if` and `else with` take the `end` of the whole.
                Some(TokenKind::Word(w)) if w == word && word != "range" => {
                    vec![self.block(word, rest[1..].to_vec(), else_at)?]
                }
                Some(_) => return Err(("unexpected words after else".to_owned(), else_at)),
            },
        };
        self.variables.truncate(mark);
        self.depth -= 1;
        let branch = Branch {
            pipe,
            then,
            otherwise,
        };
        Ok(match word {
            "if" => Node::If(branch),
            "with" => Node::With(branch),
            _ => Node::Range(branch),
        })
    }

    fn body_until_end(&mut self, at: usize) -> Result<Vec<Node>, Error> {
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            return Err((format!("blocks nested deeper than {MAX_DEPTH}"), at));
        }
        let (body, stop) = self.list()?;
        self.depth -= 1;
        match stop {
            Stop::End(_) => Ok(body),
            Stop::Text => Err(self.unclosed("define", at)),
            Stop::Else(_, at) => Err(("unexpected {{else}}".to_owned(), at)),
        }
    }

    fn unclosed(&self, word: &str, at: usize) -> Error {
        let at = at.min(self.end);
        (format!("{{{{{word}}}}} without {{{{end}}}}"), at)
    }

    fn definition(&self, tokens: &[Token], at: usize) -> Result<String, Error> {
        match tokens {
            [
                Token {
                    kind: TokenKind::Str(name),
                    ..
                },
            ] => Ok(name.clone()),
            _ => Err(("expected a quoted template name".to_owned(), at)),
        }
    }

    /// `range` may set two variables.
    fn range_pipe(&mut self, tokens: &[Token], at: usize) -> Result<Pipe, Error> {
        if let [
            Token {
                kind: TokenKind::Variable(first),
                ..
            },
            Token {
                kind: TokenKind::Comma,
                ..
            },
            Token {
                kind: TokenKind::Variable(second),
                ..
            },
            Token { kind, .. },
            rest @ ..,
        ] = tokens
            && matches!(kind, TokenKind::Declare | TokenKind::Assign)
        {
            let mut pipe = self.pipe(rest, at, "range")?;
            pipe.assigns = *kind == TokenKind::Assign;
            self.declare(first, pipe.assigns, at)?;
            self.declare(second, pipe.assigns, at)?;
            pipe.variables = vec![first.clone(), second.clone()];
            return Ok(pipe);
        }
        self.pipe(tokens, at, "range")
    }

    fn declare(&mut self, name: &str, assigns: bool, at: usize) -> Result<(), Error> {
        if assigns {
            return self.known(name, at);
        }
        self.variables.push(name.to_owned());
        Ok(())
    }

    fn known(&self, name: &str, at: usize) -> Result<(), Error> {
        if self.variables.iter().any(|v| v == name) {
            Ok(())
        } else {
            Err((format!("undefined variable {name:?}"), at))
        }
    }

    fn pipe(&mut self, tokens: &[Token], at: usize, what: &str) -> Result<Pipe, Error> {
        let mut variables = Vec::new();
        let mut assigns = false;
        let mut rest = tokens;
        if let [
            Token {
                kind: TokenKind::Variable(name),
                ..
            },
            Token { kind, .. },
            after @ ..,
        ] = tokens
            && matches!(kind, TokenKind::Declare | TokenKind::Assign)
        {
            assigns = *kind == TokenKind::Assign;
            variables.push(name.clone());
            rest = after;
        }
        let mut operands = Operands {
            tokens: rest,
            next: 0,
            known: &self.variables,
            depth: self.depth,
            at,
        };
        let commands = operands.commands(false, what)?;
        for name in &variables {
            self.declare(name, assigns, at)?;
        }
        Ok(Pipe {
            variables,
            assigns,
            commands,
        })
    }
}

fn nothing_after(tokens: &[Token], word: &str) -> Result<(), Error> {
    match tokens.first() {
        None => Ok(()),
        Some(t) => Err((format!("unexpected words after {word}"), t.at)),
    }
}

/// Reads the commands of one pipeline.
struct Operands<'a> {
    tokens: &'a [Token],
    next: usize,
    known: &'a [String],
    depth: usize,
    at: usize,
}

impl Operands<'_> {
    fn peek(&self) -> Option<&Token> {
        self.tokens.get(self.next)
    }

    /// Commands up to the end, or up to the closing parenthesis, which is taken.
    fn commands(&mut self, in_parens: bool, what: &str) -> Result<Vec<Command>, Error> {
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            return Err((format!("nested deeper than {MAX_DEPTH}"), self.at));
        }
        let mut commands: Vec<Command> = Vec::new();
        loop {
            let mut operands = Vec::new();
            let more = loop {
                let Some(token) = self.peek().cloned() else {
                    if in_parens {
                        return Err(("unclosed left paren".to_owned(), self.at));
                    }
                    break false;
                };
                if token.kind == TokenKind::Pipe {
                    self.next += 1;
                    break true;
                }
                if token.kind == TokenKind::Close {
                    if !in_parens {
                        return Err(("unexpected right paren".to_owned(), token.at));
                    }
                    self.next += 1;
                    break false;
                }
                if !operands.is_empty() && !token.spaced {
                    return Err((
                        "two operands need a blank between them".to_owned(),
                        token.at,
                    ));
                }
                operands.push(self.operand()?);
            };
            let mut operands = operands.into_iter();
            let Some(first) = operands.next() else {
                let message = if commands.is_empty() {
                    format!("missing value for {what}")
                } else {
                    "missing command after |".to_owned()
                };
                return Err((message, self.at));
            };
            let command = Command {
                first,
                args: operands.collect(),
            };
            if !commands.is_empty() && !may_take_a_value(&command) {
                return Err((
                    "a value cannot be piped into something that is not a function".to_owned(),
                    self.at,
                ));
            }
            commands.push(command);
            if !more {
                self.depth -= 1;
                return Ok(commands);
            }
        }
    }

    fn operand(&mut self) -> Result<Operand, Error> {
        let Some(token) = self.peek().cloned() else {
            return Err(("missing operand".to_owned(), self.at));
        };
        self.next += 1;
        let mut operand = match token.kind {
            TokenKind::Word(word) => match word.as_str() {
                "true" => Operand::Bool(true),
                "false" => Operand::Bool(false),
                "nil" => Operand::Nil,
                name => Operand::Function(
                    Function::by_name(name)
                        .ok_or_else(|| (format!("function {name:?} not defined"), token.at))?,
                ),
            },
            TokenKind::Field(name) => Operand::Fields(Box::new(Operand::Dot), vec![name]),
            TokenKind::Dot => Operand::Dot,
            TokenKind::Variable(name) => {
                if !self.known.contains(&name) {
                    return Err((format!("undefined variable {name:?}"), token.at));
                }
                Operand::Variable(name)
            }
            TokenKind::Int(i) => Operand::Int(i),
            TokenKind::Float(f) => Operand::Float(f),
            TokenKind::Str(s) => Operand::Str(s),
            TokenKind::Open => {
                let commands = self.commands(true, "parenthesized pipeline")?;
                Operand::Pipe(Box::new(Pipe {
                    variables: Vec::new(),
                    assigns: false,
                    commands,
                }))
            }
            TokenKind::Declare
            | TokenKind::Assign
            | TokenKind::Pipe
            | TokenKind::Comma
            | TokenKind::Close => {
                return Err(("unexpected token in operand".to_owned(), token.at));
            }
        };
        while let Some(Token {
            kind: TokenKind::Field(name),
            spaced: false,
            at,
        }) = self.peek()
        {
            match &mut operand {
                Operand::Fields(_, names) => names.push(name.clone()),
                Operand::Variable(_) | Operand::Pipe(_) => {
                    operand = Operand::Fields(Box::new(operand), vec![name.clone()]);
                }
                Operand::Function(_)
                | Operand::Dot
                | Operand::Nil
                | Operand::Bool(_)
                | Operand::Int(_)
                | Operand::Float(_)
                | Operand::Str(_) => {
                    return Err((format!("unexpected .{name} after a value"), *at));
                }
            }
            self.next += 1;
        }
        Ok(operand)
    }
}

fn may_take_a_value(command: &Command) -> bool {
    match command.first {
        Operand::Bool(_)
        | Operand::Int(_)
        | Operand::Float(_)
        | Operand::Str(_)
        | Operand::Dot
        | Operand::Nil => false,
        Operand::Function(_) | Operand::Variable(_) | Operand::Pipe(_) | Operand::Fields(_, _) => {
            true
        }
    }
}
