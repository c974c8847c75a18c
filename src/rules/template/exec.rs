//! Runs a template.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::functions::{self, Function, World};
use super::parse::{Branch, Command, Node, Operand, Pipe, Program};
use super::printf;
use super::value::{Root, Value};
use super::{Data, MAX_OUTPUT};
use crate::model::{Querier, Timestamp};

/// Steps that one expansion may take: nodes run, and bytes made by functions in units of 16.
const MAX_STEPS: usize = 200_000;
/// Deepest nesting of `template` calls.
const MAX_CALLS: usize = 50;

/// Expands `program`.
pub(super) fn run(
    program: &Program,
    data: Data<'_>,
    querier: &dyn Querier,
    at: Timestamp,
) -> Result<String, String> {
    let labels = Arc::new(
        data.labels
            .iter()
            .map(|(n, v)| (n.to_owned(), v.to_owned()))
            .collect::<BTreeMap<_, _>>(),
    );
    let root = Arc::new(Root {
        labels: Arc::clone(&labels),
        external_labels: Arc::new(data.external_labels.clone()),
        external_url: Arc::from(data.external_url),
        value: match data.histogram {
            Some(h) => Value::Histogram(Arc::clone(h)),
            None => Value::Float(data.value),
        },
    });
    let variables = vec![
        ("$".to_owned(), Value::Root(Arc::clone(&root))),
        ("$labels".to_owned(), Value::Labels(labels)),
        (
            "$externalLabels".to_owned(),
            Value::Labels(Arc::clone(&root.external_labels)),
        ),
        (
            "$externalURL".to_owned(),
            Value::Str(Arc::clone(&root.external_url)),
        ),
        ("$value".to_owned(), root.value.clone()),
    ];
    let mut run = Run {
        program,
        world: World::new(querier, at, data.external_url),
        variables,
        out: String::new(),
        steps: 0,
        calls: 0,
    };
    run.nodes(&program.body, &Value::Root(root))?;
    Ok(run.out)
}

enum Flow {
    On,
    Break,
    Continue,
}

struct Run<'a> {
    program: &'a Program,
    world: World<'a>,
    variables: Vec<(String, Value)>,
    out: String,
    steps: usize,
    calls: usize,
}

impl Run<'_> {
    fn spend(&mut self, steps: usize) -> Result<(), String> {
        self.steps += steps;
        if self.steps > MAX_STEPS {
            return Err(format!("template takes more than {MAX_STEPS} steps"));
        }
        Ok(())
    }

    fn write(&mut self, text: &str) -> Result<(), String> {
        if self.out.len() + text.len() > MAX_OUTPUT {
            return Err(format!("template yields more than {MAX_OUTPUT} bytes"));
        }
        self.out.push_str(text);
        Ok(())
    }

    fn nodes(&mut self, nodes: &[Node], dot: &Value) -> Result<Flow, String> {
        for node in nodes {
            self.spend(1)?;
            match node {
                Node::Text(text) => self.write(text)?,
                Node::Action(pipe) => {
                    let value = self.pipe(pipe, dot)?;
                    if pipe.variables.is_empty() {
                        let text = printf::display(&value);
                        self.write(&text)?;
                    }
                }
                Node::If(branch) => {
                    let flow = self.if_or_with(branch, dot, false)?;
                    if !matches!(flow, Flow::On) {
                        return Ok(flow);
                    }
                }
                Node::With(branch) => {
                    let flow = self.if_or_with(branch, dot, true)?;
                    if !matches!(flow, Flow::On) {
                        return Ok(flow);
                    }
                }
                Node::Range(branch) => {
                    let mark = self.variables.len();
                    let flow = self.range(branch, dot)?;
                    self.variables.truncate(mark);
                    if !matches!(flow, Flow::On) {
                        return Ok(flow);
                    }
                }
                Node::Template { name, pipe } => self.call(name, pipe.as_ref(), dot)?,
                Node::Break => return Ok(Flow::Break),
                Node::Continue => return Ok(Flow::Continue),
            }
        }
        Ok(Flow::On)
    }

    fn if_or_with(&mut self, branch: &Branch, dot: &Value, with: bool) -> Result<Flow, String> {
        let mark = self.variables.len();
        let value = self.pipe(&branch.pipe, dot)?;
        let flow = if value.is_true() {
            self.nodes(&branch.then, if with { &value } else { dot })?
        } else {
            self.nodes(&branch.otherwise, dot)?
        };
        self.variables.truncate(mark);
        Ok(flow)
    }

    fn range(&mut self, branch: &Branch, dot: &Value) -> Result<Flow, String> {
        let value = self.commands(&branch.pipe, dot)?;
        let items: Vec<(Value, Value)> = match &value {
            Value::Nil => Vec::new(),
            Value::Labels(m) => m
                .iter()
                .map(|(k, v)| (Value::text(k), Value::text(v)))
                .collect(),
            Value::Args(m) => m.iter().map(|(k, v)| (Value::text(k), v.clone())).collect(),
            Value::List(l) => l
                .iter()
                .zip(0..)
                .map(|(e, i)| (Value::Int(i), Value::Element(Arc::clone(e))))
                .collect(),
            Value::Int(n) => {
                self.spend(usize::try_from(*n).unwrap_or(0))?;
                (0..*n).map(|i| (Value::Int(i), Value::Int(i))).collect()
            }
            Value::Bool(_)
            | Value::Float(_)
            | Value::Str(_)
            | Value::Element(_)
            | Value::Histogram(_)
            | Value::Time(_)
            | Value::Duration(_)
            | Value::Root(_) => {
                return Err(format!("range can't iterate over {}", value.type_name()));
            }
        };
        if items.is_empty() {
            return self.nodes(&branch.otherwise, dot);
        }
        for (key, item) in items {
            self.spend(1)?;
            let mark = self.variables.len();
            match branch.pipe.variables.as_slice() {
                [] => {}
                [one] => self.set(one, item.clone(), branch.pipe.assigns)?,
                [first, second, ..] => {
                    self.set(first, key, branch.pipe.assigns)?;
                    self.set(second, item.clone(), branch.pipe.assigns)?;
                }
            }
            let flow = self.nodes(&branch.then, &item)?;
            self.variables.truncate(mark);
            match flow {
                Flow::On | Flow::Continue => {}
                Flow::Break => break,
            }
        }
        Ok(Flow::On)
    }

    fn call(&mut self, name: &str, pipe: Option<&Pipe>, dot: &Value) -> Result<(), String> {
        let arg = match pipe {
            Some(pipe) => self.pipe(pipe, dot)?,
            None => Value::Nil,
        };
        self.calls += 1;
        if self.calls > MAX_CALLS {
            return Err(format!("template calls nested deeper than {MAX_CALLS}"));
        }
        let program = self.program;
        let body = program
            .defined
            .get(name)
            .ok_or_else(|| format!("template {name:?} not defined"))?;
        let kept = std::mem::replace(&mut self.variables, vec![("$".to_owned(), arg.clone())]);
        self.nodes(body, &arg)?;
        self.variables = kept;
        self.calls -= 1;
        Ok(())
    }

    fn set(&mut self, name: &str, value: Value, assigns: bool) -> Result<(), String> {
        if assigns {
            let slot = self
                .variables
                .iter_mut()
                .rev()
                .find(|(n, _)| n == name)
                .ok_or_else(|| format!("undefined variable: {name}"))?;
            slot.1 = value;
        } else {
            self.variables.push((name.to_owned(), value));
        }
        Ok(())
    }

    fn pipe(&mut self, pipe: &Pipe, dot: &Value) -> Result<Value, String> {
        let value = self.commands(pipe, dot)?;
        for name in &pipe.variables {
            self.set(name, value.clone(), pipe.assigns)?;
        }
        Ok(value)
    }

    fn commands(&mut self, pipe: &Pipe, dot: &Value) -> Result<Value, String> {
        let mut value = None;
        for command in &pipe.commands {
            value = Some(self.command(command, dot, value)?);
        }
        Ok(value.unwrap_or(Value::Nil))
    }

    fn command(
        &mut self,
        command: &Command,
        dot: &Value,
        piped: Option<Value>,
    ) -> Result<Value, String> {
        let Operand::Function(function) = &command.first else {
            if !command.args.is_empty() || piped.is_some() {
                return Err("can't give arguments to something that is not a function".to_owned());
            }
            if command.first == Operand::Nil {
                return Err("nil is not a command".to_owned());
            }
            return self.operand(&command.first, dot);
        };
        self.function(*function, &command.args, dot, piped)
    }

    fn function(
        &mut self,
        function: Function,
        operands: &[Operand],
        dot: &Value,
        piped: Option<Value>,
    ) -> Result<Value, String> {
        // `and` and `or` look at their arguments only until the answer is known.
        if matches!(function, Function::And | Function::Or) {
            let mut last = None;
            for operand in operands {
                let value = self.operand(operand, dot)?;
                if value.is_true() == (function == Function::Or) {
                    return Ok(value);
                }
                last = Some(value);
            }
            return piped
                .or(last)
                .ok_or_else(|| "wrong number of args: want at least 1, got 0".to_owned());
        }
        let mut args = Vec::with_capacity(operands.len() + 1);
        for operand in operands {
            args.push(self.operand(operand, dot)?);
        }
        args.extend(piped);
        self.spend(1)?;
        let value = functions::call(function, &args, &mut self.world)?;
        if let Value::Str(text) = &value {
            self.spend(text.len() / 16)?;
        }
        Ok(value)
    }

    fn operand(&mut self, operand: &Operand, dot: &Value) -> Result<Value, String> {
        match operand {
            Operand::Function(function) => self.function(*function, &[], dot, None),
            Operand::Dot => Ok(dot.clone()),
            Operand::Nil => Ok(Value::Nil),
            Operand::Bool(b) => Ok(Value::Bool(*b)),
            Operand::Int(i) => Ok(Value::Int(*i)),
            Operand::Float(f) => Ok(Value::Float(*f)),
            Operand::Str(s) => Ok(Value::text(s)),
            Operand::Variable(name) => self
                .variables
                .iter()
                .rev()
                .find(|(n, _)| n == name)
                .map(|(_, v)| v.clone())
                .ok_or_else(|| format!("undefined variable: {name}")),
            Operand::Pipe(pipe) => self.pipe(pipe, dot),
            Operand::Fields(of, names) => {
                let mut value = self.operand(of, dot)?;
                for name in names {
                    value = value.field(name)?;
                }
                Ok(value)
            }
        }
    }
}
