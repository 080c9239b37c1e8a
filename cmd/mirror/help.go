package main

import (
	"cmp"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"airmirror/cmd/mirror/config"
)

// helpWidth is the width of help texts, in columns.
const helpWidth = 80

// The groups of commands, in the order of the help.
const (
	groupServe      = "serve"
	groupImages     = "images"
	groupAirGap     = "air gap"
	groupSpace      = "space"
	groupOperations = "operations"
	groupAccess     = "access"
	groupOther      = "other"
)

var groupTitles = []*cobra.Group{
	{ID: groupServe, Title: "Serve"}, {ID: groupImages, Title: "Images"}, {ID: groupAirGap, Title: "Air gap"}, {ID: groupSpace, Title: "Space"},
	{ID: groupOperations, Title: "Operations"}, {ID: groupAccess, Title: "Access"}, {ID: groupOther, Title: "Other"},
}

// namedCommand is a command that is built when it is needed.
type namedCommand struct {
	name  string
	build func() *cobra.Command
}

// commandGroups are all commands by group, in the order of the help.
var commandGroups = []struct {
	id      string
	members []namedCommand
}{
	{groupServe, []namedCommand{
		{"serve", newServeCommand}, {"status", newStatusCommand}, {"mode", newModeCommand}, {"reload", newReloadCommand}, {"config", newConfigCommand},
	}},
	{groupImages, []namedCommand{
		{"ls", newListCommand}, {"inspect", newInspectCommand}, {"tag", newTagCommand}, {"rm", newRemoveCommand}, {"pin", newPinCommand}, {"unpin", newUnpinCommand}, {"wants", newWantsCommand},
	}},
	{groupAirGap, []namedCommand{{"sync", newSyncCommand}, {"export", newExportCommand}, {"import", newImportCommand}, {"bundle", newBundleCommand}, {"key", newKeyCommand}}},
	{groupSpace, []namedCommand{{"du", newUsageCommand}, {"gc", newCollectCommand}, {"compact", newCompactCommand}}},
	{groupOperations, []namedCommand{{"jobs", newJobsCommand}, {"transfers", newTransfersCommand}, {"changes", newChangesCommand}, {"verify", newVerifyCommand}, {"backup", newBackupCommand}, {"health", newHealthCommand}}},
	{groupAccess, []namedCommand{{"client", newClientCommand}, {"user", newUserCommand}, {"token", newTokenCommand}, {"console", newConsoleCommand}, {"cert", newCertCommand}}},
	{groupOther, []namedCommand{{"version", newVersionCommand}, {"completion", newCompletionCommand}}},
}

// addCommands adds the command that args begin with to cmd, or all commands: help and completions list them. Building all
// of them takes longer than most commands run.
func addCommands(cmd *cobra.Command, args []string) {
	for _, group := range commandGroups {
		for _, member := range group.members {
			if len(args) > 0 && args[0] == member.name {
				addMember(cmd, group.id, member)
				return
			}
		}
	}
	for _, group := range commandGroups {
		for _, member := range group.members {
			addMember(cmd, group.id, member)
		}
	}
	if len(args) > 0 && (args[0] == cobra.ShellCompRequestCmd || args[0] == cobra.ShellCompNoDescRequestCmd) {
		describeAll(cmd)
	}
}

func addMember(cmd *cobra.Command, group string, member namedCommand) {
	command := member.build()
	command.GroupID = group
	cmd.AddCommand(command)
}

// describeAll describes the flags of a command and of the commands below it.
func describeAll(cmd *cobra.Command) {
	config.Describe(cmd.Flags())
	for _, sub := range cmd.Commands() {
		describeAll(sub)
	}
}

// settingsFlag is the annotation of flags that are settings of the mirror, which the help shows in a group of their own, and of
// a command for the title of that group.
const settingsFlag = "settings"

// asSettings marks flags of cmd as settings, which the help shows under title.
func asSettings(cmd *cobra.Command, flags *pflag.FlagSet, title string) {
	cmd.Annotations = map[string]string{settingsFlag: title}
	flags.VisitAll(func(f *pflag.Flag) { _ = flags.SetAnnotation(f.Name, settingsFlag, []string{}) }) // the flag exists
}

// printHelp prints the help of a command: what it does, examples, usage, details, and flags.
func printHelp(cmd *cobra.Command, _ []string) {
	config.Describe(cmd.Flags())
	out := cmd.OutOrStdout()
	if cmd.HasParent() {
		fmt.Fprintf(out, "%s.\n", cmd.Short)
	} else {
		fmt.Fprintln(out, wrap(cmd.Long, helpWidth))
	}
	section(out, "Examples:", cmd.Example)
	section(out, "Usage:", usageOf(cmd))
	if cmd.HasParent() && cmd.Long != "" {
		fmt.Fprintf(out, "\n%s\n", wrap(cmd.Long, helpWidth))
	}
	printCommands(out, cmd)
	own, common := flagsOf(cmd)
	section(out, "Flags:", flagList(own))
	section(out, cmd.Annotations[settingsFlag], flagList(common))
	if cmd.HasAvailableSubCommands() {
		fmt.Fprintf(out, "\n'%s COMMAND --help' describes a command.\n", cmd.CommandPath())
	}
}

// isParent is the annotation of a command that only has commands below it.
const isParent = "parent"

// parentCommand completes a command that only has commands below it, and prints its help.
func parentCommand(cmd *cobra.Command, members ...*cobra.Command) *cobra.Command {
	cmd.Annotations = map[string]string{isParent: "true"}
	cmd.Args = subcommands
	cmd.RunE = func(cmd *cobra.Command, _ []string) error { return cmd.Help() }
	cmd.AddCommand(members...)
	return cmd
}

// usageOf returns the forms of a command.
func usageOf(cmd *cobra.Command) string {
	var forms []string
	if cmd.Runnable() && cmd.Annotations[isParent] == "" {
		forms = append(forms, wrapIndented(cmd.UseLine(), "  ", "      ", helpWidth))
	}
	if cmd.HasAvailableSubCommands() {
		forms = append(forms, "  "+cmd.CommandPath()+" COMMAND")
	}
	return strings.Join(forms, "\n")
}

// section prints a title and a text below it, if there is a text.
func section(out io.Writer, title, text string) {
	if text != "" {
		fmt.Fprintf(out, "\n%s\n%s\n", title, strings.TrimRight(text, "\n"))
	}
}

// printCommands prints the commands below cmd, by group.
func printCommands(out io.Writer, cmd *cobra.Command) {
	titles := cmd.Groups()
	if len(titles) == 0 {
		titles = []*cobra.Group{{Title: "Commands"}}
	}
	width := 0
	for _, sub := range cmd.Commands() {
		if sub.IsAvailableCommand() {
			width = max(width, len(sub.Name()))
		}
	}
	for _, title := range titles {
		var list strings.Builder
		for _, sub := range cmd.Commands() {
			if sub.IsAvailableCommand() && sub.GroupID == title.ID {
				name := fmt.Sprintf("  %-*s  ", width, sub.Name())
				fmt.Fprintln(&list, wrapIndented(sub.Short, name, strings.Repeat(" ", len(name)), helpWidth))
			}
		}
		section(out, title.Title+":", list.String())
	}
}

// flagsOf returns the flags of a command in the order of their definition, those that every command has last, and the
// flags that are settings.
func flagsOf(cmd *cobra.Command) (own, common []*pflag.Flag) {
	cmd.InitDefaultHelpFlag()
	cmd.InitDefaultVersionFlag()
	cmd.NonInheritedFlags().VisitAll(func(f *pflag.Flag) {
		switch {
		case f.Hidden:
		case f.Annotations[settingsFlag] != nil:
			common = append(common, f)
		default:
			own = append(own, f)
		}
	})
	last := []string{"json", "quiet", "version", "help"}
	slices.SortStableFunc(own, func(a, b *pflag.Flag) int {
		return cmp.Compare(slices.Index(last, a.Name), slices.Index(last, b.Name))
	})
	return own, common
}

// maxFlagColumn is the widest column of flags. The text of a wider flag begins in the next line.
const maxFlagColumn = 28

// flagList returns the help of flags, one below the other.
func flagList(flags []*pflag.Flag) string {
	column := 0
	for _, f := range flags {
		if n := len(flagName(f)) + 2; n <= maxFlagColumn {
			column = max(column, n)
		}
	}
	var list strings.Builder
	indent := strings.Repeat(" ", column)
	for _, f := range flags {
		name, text := flagName(f), flagText(f)
		if len(name)+2 > column {
			fmt.Fprintln(&list, name)
			fmt.Fprintln(&list, wrapIndented(text, indent, indent, helpWidth))
			continue
		}
		fmt.Fprintln(&list, wrapIndented(text, name+indent[len(name):], indent, helpWidth))
	}
	return list.String()
}

// flagName returns the first column of a flag: its names, and the name of its value.
func flagName(f *pflag.Flag) string {
	name := "      --" + f.Name
	if f.Shorthand != "" {
		name = "  -" + f.Shorthand + ", --" + f.Name
	}
	if value, _ := pflag.UnquoteUsage(f); value != "" && f.Value.Type() != "bool" {
		name += " " + value
	}
	return name
}

// flagText returns the text of a flag, with its default.
func flagText(f *pflag.Flag) string {
	switch f.Name {
	case "help":
		return "print this help"
	case "version":
		return "print the version"
	}
	_, text := pflag.UnquoteUsage(f)
	switch f.DefValue {
	case "", "false", "[]", "0s", "0":
		return text
	}
	return text + " (default " + f.DefValue + ")"
}
