package main

import (
	"go.uber.org/zap"

	"airmirror/api/audit"
)

// auditConfig says where changes are written down; nowhere if it is empty.
type auditConfig struct {
	File string `yaml:"file"`
}

// open opens the audit log. One that cannot be kept is a mistake in the settings, as nobody would notice later.
func (c auditConfig) open(log *zap.Logger) (*audit.Log, error) {
	l, err := audit.Open(c.File, log)
	if err != nil {
		return nil, &exitError{exitUsage, err}
	}
	return l, nil
}
