package config

import (
	"fmt"

	"go.yaml.in/yaml/v3"
)

// distributionConfig is the part of the configuration of a distribution registry, such as registry:2, by which it is
// recognised.
type distributionConfig struct {
	Version string
	Storage struct {
		Filesystem struct{ Rootdirectory string }
	}
	HTTP yaml.Node `yaml:"http"`
}

// otherRegistry returns an error with the next step if a file is the configuration of a distribution registry.
func otherRegistry(name string, text []byte) error {
	var c struct {
		distributionConfig `yaml:",inline"`
		Listen, Data       yaml.Node // settings of a mirror
	}
	if yaml.Unmarshal(text, &c) != nil || c.Version != "0.1" || !c.Listen.IsZero() || !c.Data.IsZero() {
		return nil // if it is no YAML, the reader of the settings says where
	}
	root := c.Storage.Filesystem.Rootdirectory
	if root == "" && c.HTTP.IsZero() {
		return nil
	}
	if root == "" {
		root = "FOLDER"
	}
	return fmt.Errorf("%s is the configuration of a distribution registry (registry:2), whose keys have other names here: "+
		"deploy/docs/migrate.md of the documentation maps them; its content is imported by 'mirror sync --registry-root %s'", name, root)
}
