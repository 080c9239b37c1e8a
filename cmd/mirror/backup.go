package main

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"airmirror/api/admin"
)

func newBackupCommand() *cobra.Command {
	q := &adminCommand{}
	var overwrite bool
	cmd := q.command(&cobra.Command{
		Use:   "backup FILE|-",
		Short: "Write a copy of the index",
		Long: `Write a consistent copy of the index to a file, or to standard output (-). Clients can push and
pull meanwhile. With --overwrite, an existing file is replaced when the copy is complete.

The copy contains the names of all images, but no blobs. 'mirror verify --rebuild --backup FILE'
restores an index from it and from the blobs in the data folder.`,
		Example: `  mirror backup /backup/index.db
  mirror backup --overwrite /backup/index.db
  mirror backup - | ssh vault 'cat > mirror-index.db'`,
		Args: arguments("FILE"),
	}, func(cmd *cobra.Command, client *admin.Client, args []string) error {
		return backup(cmd, client, args[0], overwrite, q.json)
	})
	addOverwriteFlag(cmd.Flags(), &overwrite, "FILE if it exists")
	return cmd
}

// backedUp is the result in JSON.
type backedUp struct {
	File  string `json:"file"`
	Bytes int64  `json:"size"`
}

func backup(cmd *cobra.Command, client *admin.Client, path string, overwrite, asJSON bool) (err error) {
	copied := backedUp{File: path}
	write := func(ctx context.Context, w io.Writer) (err error) {
		copied.Bytes, err = client.Stream(ctx, "backup", struct{}{}, nil, w)
		return err
	}
	if path == "-" {
		if err := refuseTerminal(cmd, "a backup"); err != nil {
			return err
		}
		return write(cmd.Context(), raw(cmd.OutOrStdout()))
	}
	if err := writeFile(cmd.Context(), path, overwrite, write); err != nil {
		if cmd.Context().Err() != nil {
			return &exitError{exitInterrupted, errors.New("interrupted: no backup was written")}
		}
		return err
	}
	if asJSON {
		return printJSON(cmd.OutOrStdout(), copied)
	}
	_, err = fmt.Fprintf(cmd.OutOrStdout(), "%s: %s\n", path, size(copied.Bytes))
	return err
}
