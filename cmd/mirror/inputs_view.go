package main

import (
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"airmirror/api/admin"
)

// show says which files were read as what, and which parts of them were not. With asJSON, it prints events to out; text
// goes to standard error, because standard output may be a bundle.
func (in *inputs) show(cmd *cobra.Command, out io.Writer, asJSON bool) error {
	for _, file := range in.read {
		if asJSON {
			if err := printItem(out, admin.KindFile, file); err != nil {
				return err
			}
		} else if !isQuiet(cmd) {
			printText(cmd.ErrOrStderr(), "%s: read as %s: %s", file.File, file.Format, count(file.Images, "image", "images"))
		}
	}
	for _, part := range in.unread {
		if asJSON {
			if err := printItem(out, admin.KindUnread, part); err != nil {
				return err
			}
		} else if part.Missing || !isQuiet(cmd) {
			printText(cmd.ErrOrStderr(), "not read: %s: %s", part.Name, part.Reason)
		}
	}
	return nil
}

// undone returns the text for parts whose images are missing; empty without one.
func (in *inputs) undone() string {
	missing := 0
	for _, part := range in.unread {
		if part.Missing {
			missing++
		}
	}
	if missing == 0 {
		return ""
	}
	return fmt.Sprintf("%s not be read, as listed above, and images may be missing", count(missing, "part of the files could", "parts of the files could"))
}
