package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"airmirror/mirror"
	"airmirror/sync/volume"
)

func newBundleCommand() *cobra.Command {
	return parentCommand(&cobra.Command{
		Use:     "bundle",
		Short:   "Repair bundles",
		Example: `  mirror bundle repair /media/usb`,
	}, newBundleRepairCommand())
}

func newBundleRepairCommand() *cobra.Command {
	var o output
	cmd := &cobra.Command{
		Use:   "repair FILE|FOLDER",
		Short: "Rebuild lost and damaged volumes from parity",
		Long: `Rebuild the volumes of a bundle that are missing or damaged, from the parity volumes beside them
('mirror export --parity'). FILE is any file of the bundle, and FOLDER the folder of one. All files
have to be in one folder that can be written to: copy them from their media first. Where a medium has
bad sectors, copy what can be read.

Every volume is checked with the checksums beside it. A rebuilt volume replaces the damaged one when
its digest is right. An import verifies the signature and every digest as it always does.

Exit codes: 0 all volumes are complete, 2 invalid arguments, or a bundle without parity, 7 too much
is missing or damaged.`,
		Example: `  mirror bundle repair usb/plant.tar.001
  mirror bundle repair /media/usb`,
		Args: usage(arguments("FILE")),
		RunE: func(cmd *cobra.Command, args []string) error {
			path, err := parityIn(args[0])
			if err != nil {
				return &exitError{exitUsage, err}
			}
			result, err := volume.Repair(path)
			switch mirror.CodeOf(err) {
			case mirror.CodeUnsupported:
				return &exitError{exitUsage, err}
			case mirror.CodeDigestInvalid:
				return &exitError{exitRefused, err}
			}
			if err != nil {
				return err
			}
			if o.json {
				return printJSON(cmd.OutOrStdout(), result)
			}
			_, err = fmt.Fprint(cmd.OutOrStdout(), repairedText(result))
			return err
		},
	}
	o.flags(cmd.Flags())
	return cmd
}

// repairedText says what a repair did.
func repairedText(r volume.Repaired) string {
	var text strings.Builder
	for _, name := range r.Rebuilt {
		fmt.Fprintf(&text, "rebuilt %s\n", name)
	}
	for _, name := range r.Damaged {
		fmt.Fprintf(&text, "%s is missing or damaged, and is not rebuilt\n", name)
	}
	fmt.Fprintf(&text, "%s complete, %s rebuilt\n", count(r.Volumes, "volume is", "volumes are"), count(len(r.Rebuilt), "of them was", "of them were"))
	return text.String()
}

// parityIn returns a path of the bundle to repair: the path itself, or in a folder the one bundle that has parity.
func parityIn(path string) (string, error) {
	info, err := os.Stat(path)
	if err != nil || !info.IsDir() {
		return path, nil // volumes may be missing
	}
	entries, err := os.ReadDir(path)
	if err != nil {
		return "", err
	}
	found, set := "", ""
	for _, entry := range entries {
		name, _, ok := volume.ParseParity(entry.Name())
		if !ok || name == set {
			continue
		}
		if set != "" {
			return "", fmt.Errorf("%s contains several bundles with parity: name a file of one, such as %s or %s", path, set+".001", name+".001")
		}
		found, set = filepath.Join(path, entry.Name()), name
	}
	if found == "" {
		return "", fmt.Errorf("%s contains no parity volumes: export with --parity to be able to repair a bundle", path)
	}
	return found, nil
}

// repairAdvice says how to repair the set of a volume, if there is parity beside it.
func repairAdvice(path string) string {
	prefix := strings.TrimSuffix(path, filepath.Ext(path))
	if found, err := filepath.Glob(prefix + "-parity-*.json"); err != nil || len(found) == 0 {
		return ""
	}
	return fmt.Sprintf(", or rebuild it with 'mirror bundle repair %s'", path)
}
