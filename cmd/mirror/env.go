package main

import (
	"fmt"
	"os"
	"strings"

	"github.com/spf13/pflag"
)

// flagsFromEnv sets every flag that was not given from its variable: --log-level from MIRROR_LOG_LEVEL.
func flagsFromEnv(flags *pflag.FlagSet) error {
	var failed error
	flags.VisitAll(func(f *pflag.Flag) {
		name := "MIRROR_" + strings.ToUpper(strings.ReplaceAll(f.Name, "-", "_"))
		value, ok := os.LookupEnv(name)
		if !ok || f.Changed || failed != nil {
			return
		}
		if err := flags.Set(f.Name, value); err != nil {
			failed = &exitError{exitUsage, fmt.Errorf("%s=%s: %w", name, value, err)}
		}
	})
	return failed
}
