package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"airmirror/mirror"
	"airmirror/sync/parity"
	"airmirror/sync/volume"
)

func newBundleCommand() *cobra.Command {
	return parentCommand(&cobra.Command{
		Use:   "bundle",
		Short: "Check and repair bundles",
		Example: `  mirror bundle verify /media/usb
  mirror bundle repair /media/usb`,
	}, newBundleVerifyCommand(), newBundleRepairCommand())
}

func newBundleRepairCommand() *cobra.Command {
	var o output
	var to string
	var overwrite bool
	cmd := &cobra.Command{
		Use:   "repair FILE|FOLDER",
		Short: "Rebuild what is lost or damaged from parity",
		Long: `Rebuild what is lost or damaged of a bundle, from the parity beside it ('mirror export --parity'). FILE
is any file of the bundle, and FOLDER the folder of one. A bundle in one file is repaired from
FILE-parity, and so is that file. Of a bundle in volumes, whole volumes are rebuilt; all files have to
be in one folder that can be written to. Where a medium has bad sectors, copy what can be read, or
use --output.

Everything is checked with the checksums in the parity. A repaired file replaces the damaged one when
its digest is right, which needs room for both. An import verifies the signature and every digest as
it always does.

Exit codes: 0 the bundle is complete, 2 invalid arguments, or a bundle without parity, 7 too much is
missing or damaged.`,
		Example: `  mirror bundle repair plant.tar
  mirror bundle repair /media/dvd/plant.tar --output plant.tar
  mirror bundle repair usb/plant.tar.001
  mirror bundle repair /media/usb`,
		Args: usage(arguments("FILE")),
		RunE: func(cmd *cobra.Command, args []string) error {
			b, err := protectedAt(args[0])
			if err == nil {
				err = checkOutput(b, to, overwrite)
			}
			if err != nil {
				return &exitError{exitUsage, err}
			}
			result, text, err := b.repair(cmd.Context(), to)
			if err != nil {
				return bundleError(cmd, args[0], err)
			}
			if o.json {
				return printJSON(cmd.OutOrStdout(), result)
			}
			_, err = fmt.Fprint(cmd.OutOrStdout(), text)
			return err
		},
	}
	cmd.Flags().StringVar(&to, "output", "", "write a repaired bundle in one file to this `file`, and change nothing else")
	addOverwriteFlag(cmd.Flags(), &overwrite, "the file of --output if it exists")
	o.flags(cmd.Flags())
	return cmd
}

// checkOutput refuses an output that would replace a file, or that the bundle cannot have.
func checkOutput(b protected, output string, overwrite bool) error {
	if output == "" && overwrite {
		return errors.New("--overwrite only applies to --output: without it, the repaired file replaces the damaged one")
	}
	if output == "" {
		return nil
	}
	if !b.single {
		return fmt.Errorf("--output only applies to a bundle in one file with parity: copy the volumes of %s to a folder that can be written to, and repair them there", b.path)
	}
	return checkNew(output, 0, overwrite)
}

// bundleError returns the error of checking or repairing a bundle with its exit code.
func bundleError(cmd *cobra.Command, path string, err error) error {
	_, missing := os.Stat(path)
	switch {
	case cmd.Context().Err() != nil:
		return &exitError{exitInterrupted, errors.New("interrupted: the bundle is as it was; run the same command again")}
	case mirror.CodeOf(err) == mirror.CodeUnsupported && errors.Is(missing, fs.ErrNotExist):
		return &exitError{exitUsage, notFound(path)}
	case mirror.CodeOf(err) == mirror.CodeUnsupported:
		return &exitError{exitUsage, err}
	case mirror.CodeOf(err) == mirror.CodeDigestInvalid:
		return &exitError{exitRefused, err}
	}
	return err
}

// repairedBundle is the result of `mirror bundle repair`. Its keys are those of [checkedBundle].
type repairedBundle struct {
	File     string   `json:"file"` // the complete bundle
	Complete bool     `json:"complete"`
	Rebuilt  []string `json:"rebuilt"` // the files that were missing or damaged, and are complete now
	// Damaged are the files that are still missing or damaged: parity volumes, or what --output left as it was.
	Damaged      []string `json:"damaged"`
	Blocks       int64    `json:"damagedBlocks,omitempty"`       // that were rebuilt
	ParityBlocks int64    `json:"damagedParityBlocks,omitempty"` // the same
}

// repair repairs the bundle. It returns the result for programs and for people.
func (b protected) repair(ctx context.Context, output string) (result repairedBundle, text string, err error) {
	if !b.single {
		r, err := volume.Repair(b.path)
		result = repairedBundle{File: volume.BundlePath(b.path), Complete: err == nil, Rebuilt: append([]string{}, r.Rebuilt...), Damaged: append([]string{}, r.Damaged...)}
		return result, repairedText(r), err
	}
	r, err := parity.Repair(ctx, b.path, output)
	return repairedFile(r, output), repairedFileText(r, output), err
}

// repairedFile returns the result for a bundle in one file.
func repairedFile(r parity.Report, output string) repairedBundle {
	result := repairedBundle{File: r.File, Complete: r.Complete, Rebuilt: []string{}, Damaged: []string{}, Blocks: r.Damaged, ParityBlocks: r.DamagedParity}
	var damaged []string
	if r.Repaired && (r.Damaged > 0 || r.DamagedParity == 0 || output != "") {
		damaged = append(damaged, filepath.Base(r.File))
	}
	if r.DamagedParity > 0 {
		damaged = append(damaged, filepath.Base(r.Parity))
	}
	switch {
	case output == "":
		result.Rebuilt = append(result.Rebuilt, damaged...)
	case r.Repaired:
		result.File, result.Rebuilt, result.Damaged = output, append(result.Rebuilt, filepath.Base(output)), append(result.Damaged, damaged...)
	default:
		result.Damaged = append(result.Damaged, damaged...)
	}
	return result
}

// repairedText says what a repair of volumes did.
func repairedText(r volume.Repaired) string {
	var text strings.Builder
	for _, name := range r.Rebuilt {
		fmt.Fprintf(&text, "rebuilt %s\n", name)
	}
	for _, name := range r.Damaged {
		fmt.Fprintf(&text, "%s is missing or damaged, and is not rebuilt\n", name)
	}
	fmt.Fprintf(&text, "%s complete", count(r.Volumes, "volume is", "volumes are"))
	if n := len(r.Rebuilt); n > 0 {
		fmt.Fprintf(&text, ", %d rebuilt", n)
	}
	text.WriteByte('\n')
	return text.String()
}

// repairedFileText says what a repair of one file did.
func repairedFileText(r parity.Report, output string) string {
	var text strings.Builder
	name := r.File
	switch {
	case !r.Repaired:
	case r.Damaged > 0 && output != "":
		fmt.Fprintf(&text, "rebuilt %s of %s in %s\n", blocks(r.Damaged), r.File, output)
	case r.Damaged > 0:
		fmt.Fprintf(&text, "rebuilt %s in %s\n", blocks(r.Damaged), r.File)
	case r.DamagedParity == 0 || output != "":
		fmt.Fprintf(&text, "left out what follows the end of %s\n", r.File)
	}
	if r.DamagedParity > 0 && output == "" {
		fmt.Fprintf(&text, "rebuilt %s in %s\n", blocks(r.DamagedParity), r.Parity)
	}
	if r.Repaired && output != "" {
		name = output
	}
	fmt.Fprintf(&text, "%s is complete\n", name)
	if output != "" && !r.Repaired {
		fmt.Fprintf(&text, "%s was not written\n", output)
	}
	return text.String()
}

// blocks counts blocks of parity.
func blocks(n int64) string { return count(int(n), "damaged block", "damaged blocks") + " of 4 KiB" }

// checkedBundle is the result of `mirror bundle verify`.
type checkedBundle struct {
	File       string `json:"file"`
	Complete   bool   `json:"complete"`
	Repairable bool   `json:"repairable"`
	// Damaged are the files that are missing or damaged, of the bundle and of its parity.
	Damaged      []string `json:"damaged"`
	Blocks       int64    `json:"damagedBlocks,omitempty"`       // of one file, of 4 KiB
	ParityBlocks int64    `json:"damagedParityBlocks,omitempty"` // the same
	Problem      string   `json:"problem,omitempty"`             // why it cannot be repaired
	refused      error    // Problem
}

func newBundleVerifyCommand() *cobra.Command {
	var o output
	cmd := &cobra.Command{
		Use:   "verify FILE|FOLDER",
		Short: "Check a bundle against its parity",
		Long: `Check a bundle against the parity beside it ('mirror export --parity'), and say what is missing or
damaged and whether 'mirror bundle repair' can rebuild it. FILE is any file of the bundle, and FOLDER
the folder of one. Nothing is changed. This finds damage, and says nothing about the origin of the
bundle: an import verifies the signature and every digest.

Exit codes: 0 the bundle is complete, 2 invalid arguments, or a bundle without parity, 7 something is
missing or damaged.`,
		Example: `  mirror bundle verify plant.tar
  mirror bundle verify /media/usb --json`,
		Args: usage(arguments("FILE")),
		RunE: func(cmd *cobra.Command, args []string) error {
			b, err := protectedAt(args[0])
			if err != nil {
				return &exitError{exitUsage, err}
			}
			result, err := b.check(cmd.Context())
			if err != nil {
				return bundleError(cmd, args[0], err)
			}
			if o.json {
				if err := printJSON(cmd.OutOrStdout(), result); err != nil {
					return err
				}
			} else if _, err := fmt.Fprint(cmd.OutOrStdout(), result.text()); err != nil {
				return err
			}
			return result.err()
		},
	}
	o.flags(cmd.Flags())
	return cmd
}

// check checks the bundle, and changes nothing.
func (b protected) check(ctx context.Context) (checkedBundle, error) {
	c := checkedBundle{File: b.path, Damaged: []string{}}
	if b.single {
		r, err := parity.Check(ctx, b.path)
		c.Complete, c.Repairable, c.Blocks, c.ParityBlocks, c.refused = r.Complete, r.Repairable(), r.Damaged, r.DamagedParity, r.Problem()
		if err != nil {
			return c, err
		}
		if !r.Complete {
			c.Damaged = append(c.Damaged, filepath.Base(r.File))
		}
		if r.DamagedParity > 0 {
			c.Damaged = append(c.Damaged, filepath.Base(r.Parity))
		}
	} else {
		c.File = volume.BundlePath(b.path)
		r, err := volume.Check(b.path)
		if r.Volumes == 0 {
			return c, err
		}
		c.Damaged = append(append(c.Damaged, r.Rebuilt...), r.Damaged...)
		c.Complete, c.Repairable, c.refused = len(r.Rebuilt) == 0, len(r.Rebuilt) > 0 && err == nil, err
	}
	if c.refused != nil {
		c.Problem = c.refused.Error()
	}
	return c, nil
}

// text says what is damaged.
func (c checkedBundle) text() string {
	var text strings.Builder
	for _, name := range c.Damaged {
		fmt.Fprintf(&text, "%s is missing or damaged\n", name)
	}
	if c.Blocks+c.ParityBlocks > 0 {
		fmt.Fprintf(&text, "%s in the file, %s in its parity\n", blocks(c.Blocks), blocks(c.ParityBlocks))
	}
	if c.Complete {
		fmt.Fprintf(&text, "%s is complete\n", c.File)
	}
	return text.String()
}

// err returns the error for a damaged bundle.
func (c checkedBundle) err() error {
	switch {
	case c.Complete:
		return nil
	case c.Repairable:
		return &exitError{exitRefused, fmt.Errorf("%s is damaged, and can be repaired: run 'mirror bundle repair %[1]s'", c.File)}
	}
	return &exitError{exitRefused, c.refused}
}
