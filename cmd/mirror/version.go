package main

import (
	"fmt"
	"runtime"
	"runtime/debug"

	"github.com/spf13/cobra"
)

// buildInfo says what the binary was built from.
type buildInfo struct {
	Version  string `json:"version"`
	Revision string `json:"revision,omitempty"` // of the source; empty if the build did not record it
	Go       string `json:"go"`
	Platform string `json:"platform"`
}

func newVersionCommand() *cobra.Command {
	var o output
	cmd := &cobra.Command{
		Use:     "version",
		Short:   "Print the version, and what the binary was built from",
		Example: "  mirror version\n  mirror version --json",
		Args:    usage(noArguments),
		RunE: func(cmd *cobra.Command, _ []string) error {
			info := readBuildInfo()
			if o.json {
				return printJSON(cmd.OutOrStdout(), info)
			}
			t := newTable(cmd.OutOrStdout(), "mirror", info.Version)
			if info.Revision != "" {
				t.row("revision", info.Revision)
			}
			t.row("go", info.Go)
			t.row("platform", info.Platform)
			return t.Flush()
		},
	}
	o.flags(cmd.Flags())
	return cmd
}

func readBuildInfo() buildInfo {
	info := buildInfo{Version: version, Go: runtime.Version(), Platform: fmt.Sprintf("%s/%s", runtime.GOOS, runtime.GOARCH)}
	if build, ok := debug.ReadBuildInfo(); ok {
		for _, setting := range build.Settings {
			if setting.Key == "vcs.revision" {
				info.Revision = setting.Value
			}
		}
	}
	return info
}
