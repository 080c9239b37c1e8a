package main

import (
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"airmirror/api/admin"
	"airmirror/mirror"
)

func newPinCommand() *cobra.Command {
	q := &adminCommand{}
	return q.command(&cobra.Command{
		Use:   "pin [IMAGE]...",
		Short: "Have images never collected, or list those that are pinned",
		Long: `Pin images that are held: the collector never touches them, whatever it is asked for, until
they are unpinned. A pinned tag keeps what it points at, now and later; a pinned digest keeps
that image, which is listed by it from then on, and may be shortened. Images are named as docker
pull takes them. Without any, list the pins.

Exit codes: 0 pinned, 6 an image is not held, and none was pinned; others as for serve.`,
		Example: `  mirror pin alpine:3 ghcr.io/org/app:v1
  mirror pin ghcr.io/org/app@sha256:4f53…
  mirror pin`,
	}, func(cmd *cobra.Command, client *admin.Client, args []string) error {
		if len(args) == 0 {
			return listPins(cmd, client, q.json)
		}
		return pin(cmd, client, "pin", args, q.json)
	})
}

func newUnpinCommand() *cobra.Command {
	q := &adminCommand{}
	return q.command(&cobra.Command{
		Use:   "unpin IMAGE...",
		Short: "Let images be collected again",
		Long: `Take back what 'mirror pin' promised.

Exit codes: 0 unpinned, 6 an image is not pinned, and none was unpinned; others as for serve.`,
		Example: `  mirror unpin alpine:3`,
		Args:    cobra.MinimumNArgs(1),
	}, func(cmd *cobra.Command, client *admin.Client, args []string) error {
		return pin(cmd, client, "unpin", args, q.json)
	})
}

// pin has a job pin or unpin images.
func pin(cmd *cobra.Command, client *admin.Client, job string, names []string, asJSON bool) error {
	done := []mirror.Pin{}
	if err := client.Job(cmd.Context(), job, names, nil, collectItems(&done)); err != nil {
		return notHeld(err)
	}
	if asJSON {
		return printJSON(cmd.OutOrStdout(), done)
	}
	for _, pin := range done {
		fmt.Fprintf(cmd.OutOrStdout(), "%sned %s\n", job, pin.Ref)
	}
	return nil
}

// notHeld gives an error about what is not held its exit code, and one about a name that of a mistake in usage.
func notHeld(err error) error {
	switch mirror.CodeOf(err) {
	case mirror.CodeManifestUnknown:
		return &exitError{exitMissing, err}
	case mirror.CodeNameInvalid:
		return &exitError{exitUsage, err}
	}
	return err
}

func listPins(cmd *cobra.Command, client *admin.Client, asJSON bool) error {
	pins, out := []mirror.Pin{}, cmd.OutOrStdout()
	if err := client.Job(cmd.Context(), "pins", struct{}{}, nil, collectItems(&pins)); err != nil {
		return err
	}
	if asJSON {
		return printJSON(out, pins)
	}
	if len(pins) == 0 {
		fmt.Fprintln(out, "nothing is pinned")
		return nil
	}
	t := newTable(out, "PINNED", "SINCE", "DIGEST")
	for _, pin := range pins {
		held := "not held"
		if pin.Digest != "" {
			held = short(pin.Digest)
		}
		t.row(pin.Ref, since(pin.Since), held)
	}
	return t.Flush()
}

// since writes when something began.
func since(t time.Time) string {
	if t.IsZero() {
		return "-"
	}
	return age(t)
}
