//! JSON bodies of the REST interface, as Kite writes them and as leniently as it must be read.
