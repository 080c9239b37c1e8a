package main

import (
	"errors"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"airmirror/api/admin"
)

func newImportCommand() *cobra.Command {
	q, c := &adminCommand{create: true}, bundleConfig{}
	cmd := q.command(&cobra.Command{
		Use:     "import FILE|FOLDER|-...",
		Aliases: []string{"load"},
		Short:   "Import bundles and archives of images",
		Long: `Import bundles from files, folders or standard input (-): bundles of 'mirror export', OCI image
layouts, and archives of docker save, podman save, crane, cosign, zarf and hauler, compressed or not.
'mirror sync --bundle' is the same, and 'mirror load' another name.

Tags move when the whole bundle is imported. The volumes of a bundle can be imported one at a time,
in order. What is damaged or missing of a bundle is rebuilt from the parity beside it, if there is any.
A folder stands for all archives in it and below; other files in it are listed. An image with an
unusable name is skipped and listed.

--dry-run reads the list of contents of a bundle, and checks its signature and the sizes of its
files. The import verifies the content.

With --detach, the command ends when the last bundle has arrived, and prints the ID of its job.

Exit codes: 0 everything was imported, 2 invalid flags or files, 6 a tag was not moved as it was
pushed here, 7 a bundle or a part of it was refused, 130 interrupted; others as for serve.`,
		Example: `  mirror import plant.tar
  mirror import /media/usb --verify mirror.pub --receipt receipt.json
  docker save app | mirror import - --tag team/app:1`,
		Args: someArguments("FILE"),
	}, func(cmd *cobra.Command, client *admin.Client, args []string) error {
		c.bundles = args
		return c.importAll(cmd, client, q.json)
	})
	c.flags(cmd.Flags())
	c.commonFlags(cmd.Flags())
	addDetachFlag(cmd.Flags())
	fromEnv := cmd.PreRunE
	cmd.PreRunE = func(cmd *cobra.Command, args []string) error {
		return errors.Join(fromEnv(cmd, args), c.checkDetach(cmd, true), c.checkReceipt(), c.read())
	}
	return cmd
}

// flags adds the flags that only apply to bundles.
func (c *bundleConfig) flags(f *pflag.FlagSet) {
	f.StringSliceVar(&c.keys, "verify", nil, "refuse bundles that are not signed with this public `key`, or a key in this file; repeatable")
	f.StringVar(&c.Tag, "tag", "", "`name` for the image in an archive without a name, such as team/app:1")
	f.BoolVar(&c.skipBadNames, "skip-bad-names", false, "exit with 6 instead of 7 if images with unusable names were skipped")
	f.BoolVar(&c.AnyDestination, "any-destination", false, "also import a bundle for another destination")
	f.BoolVar(&c.AllowOlder, "allow-older", false, "also import a bundle that is older than the last one from its source")
}

// commonFlags adds the flags of imports that `mirror sync` also has for other content.
func (c *bundleConfig) commonFlags(f *pflag.FlagSet) {
	f.BoolVar(&c.Overwrite, "overwrite-tags", false, "also move tags that were pushed here")
	f.BoolVar(&c.DryRun, "dry-run", false, "list what would be fetched or imported, and store nothing")
	f.StringVar(&c.receipt, "receipt", "", "write a receipt of the stored content to this `file`, for 'mirror export --have'")
	addOverwriteFlag(f, &c.replace, "the file of --receipt if it exists")
}

// checkDetach returns an error for --detach with flags that need the result of an import.
func (c *bundleConfig) checkDetach(cmd *cobra.Command, bundles bool) error {
	if isDetached(cmd) && (c.receipt != "" || bundles && c.DryRun) {
		return &exitError{exitUsage, errors.New("--detach does not apply to --receipt and --dry-run, which wait for the result")}
	}
	return nil
}

// importAll imports the bundles. Then it writes a receipt of what is stored, even if something is missing.
func (c *bundleConfig) importAll(cmd *cobra.Command, client *admin.Client, asJSON bool) error {
	return c.withReceipt(cmd, client, (&imports{bundleConfig: *c, cmd: cmd, client: client, json: asJSON, detach: isDetached(cmd)}).run())
}

// withReceipt writes the receipt, unless err means that nothing can be said of what is stored.
func (c *bundleConfig) withReceipt(cmd *cobra.Command, client *admin.Client, err error) error {
	if exit := (*exitError)(nil); err != nil && !(errors.As(err, &exit) && exit.code == exitMissing) {
		return err
	}
	return errors.Join(err, writeReceipt(cmd, client, c.receipt, c.replace))
}
