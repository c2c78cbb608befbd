"""From picture pairs to a table one can believe: render, measure, compare, report (`scsa evaluate`)."""
