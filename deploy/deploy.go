// Package deploy holds what it takes to run a mirror: container image, compose, Kubernetes, systemd, dashboards, proxies
// and the example of a configuration. README.md beside it says how each is used, and what checks it.
package deploy

import _ "embed"

// Config is a configuration file with every setting at its default, each explained and commented out: "#key: value" is
// a setting, "# Text" an explanation. Settings that have no default are shown by an example, which is marked as one.
//
//go:embed mirror.yaml
var Config string
