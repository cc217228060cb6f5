"""Files that tools run something from, by name and content: editors, shells, package managers, container and build tools, desktops."""

from __future__ import annotations

from probes.code.rules import BUILD_RECIPE, PAGE_SCRIPT, TOOL_TASK
from scanner.rule import Rule

TOOLS: tuple[tuple[Rule, str, str, str], ...] = (
    (TOOL_TASK, r"(?:.*/)?\.vscode/tasks\.json", r'"runOn"\s*:\s*"folderOpen"', "a task that an editor runs when the folder is opened"),
    (TOOL_TASK, r"(?:.*/)?(?:\.devcontainer(?:/.*)?/)?\.?devcontainer\.json", r'"\w*Command"\s*:', "commands of a development container"),
    (TOOL_TASK, r"(?:.*/)?\.(?:claude|cursor|gemini)/.*\.json|(?:.*/)?\.mcp\.json", r'"(?:command|hooks)"\s*:', "commands of an assistant that writes code"),
    (TOOL_TASK, r"(?:.*/)?\.(?:envrc|exrc|vimrc|nvimrc|lvimrc|gdbinit|lldbinit|pdbrc|Rprofile|irbrc|pryrc|ghci|ocamlinit|bashrc|bash_profile|bash_login|bash_logout|zshrc|zshenv"
     r"|zprofile|zlogin|kshrc|cshrc|tcshrc|profile|xprofile|xinitrc)", r"\S", "commands that a shell, a debugger or an editor runs in this folder"),
    (TOOL_TASK, r"(?:.*/)?package\.json", r'"(?:pre|post)?(?:install|prepare)"\s*:', "commands that npm runs when it installs"),
    (TOOL_TASK, r"(?:.*/)?\.vscode/settings\.json",
     r'"(?:git\.path|task\.allowAutomaticTasks|terminal\.integrated\.(?:automationProfile|profiles|shell|env)\b[\w.]*)"\s*:'
     r'|"python\.(?:defaultInterpreterPath|pythonPath)"\s*:\s*"(?:\./|\$\{workspaceFolder\}/)(?!\.?v?env/)', "settings that name a program an editor runs"),
    (TOOL_TASK, r"(?:.*/)?\.idea/(?:.*/)?[\w.-]+\.xml", r"ShConfigurationType|ToolBeforeRunTask|ProjectStartupSharedConfiguration|<TaskOptions\b", "commands of an editor's project"),
    (TOOL_TASK, r"(?:.*/)?\.zed/\w+\.json", r'"(?:command|binary)"\s*:', "commands of an editor"),
    (TOOL_TASK, r"(?:.*/)?\.dir-locals(?:-2)?\.el", r"\beval\b|\bcommand\b|-(?:program|executable|hook|functions?)\b", "code that an editor runs in this folder"),
    (TOOL_TASK, r"(?:.*/)?(?:\.?mise(?:\.[\w-]+)*\.toml|\.?mise/config(?:\.[\w-]+)*\.toml)", r"(?m)^[ \t]*\[+\s*(?:hooks|tasks|env)\b|\bexec\s*\(", "commands that mise runs in this folder"),
    (TOOL_TASK, r"(?:.*/)?\.hg/hgrc(?:-not-shared)?", r"(?m)^[ \t]*\[\s*(?:hooks|alias|extensions|ui|merge-tools)\b", "settings of Mercurial that run commands"),
    (TOOL_TASK, r"(?:.*/)?\.env(?:\.[\w-]+)*", r"(?m)^[ \t]*(?:export[ \t]+)?(?:LD_PRELOAD|LD_AUDIT|DYLD_INSERT_LIBRARIES|PYTHONSTARTUP|NODE_OPTIONS|BASH_ENV|PROMPT_COMMAND)\s*=",
     "variables that make programs load code"),
    (TOOL_TASK, r"(?i)(?:.*/)?autorun\.inf", r"(?im)^[ \t]*(?:open|shellexecute|shell\b[^=\n]*)\s*=", "a program that Windows is to start with the medium"),
    (TOOL_TASK, r"(?i)(?:.*/)?(?:desktop\.ini|[^/]+\.(?:url|theme|website))", r"(?im)^[ \t]*[\w.]+\s*=[ \t]*(?:[^=\n]{0,200},[ \t]*)?@?(?:\\\\|//|file:)", "a shortcut to another computer, asked when Windows shows the folder"),
    (TOOL_TASK, r"(?i)(?:.*/)?[^/]+\.(?:scf|library-ms|search-ms|searchconnector-ms|settingcontent-ms|appref-ms)", r"\S", "a shortcut that Windows acts on when it shows the folder"),
    (BUILD_RECIPE, r"(?i)(?:.*/)?(?:Dockerfile(?:\.[\w-]+)?|[\w-]+\.dockerfile|Containerfile)", r"(?im)^[ \t]*(?:FROM|RUN|CMD|ENTRYPOINT|ADD)\b", "a container's recipe"),
    (BUILD_RECIPE, r"(?:.*/)?(?:GNUmakefile|[Mm]akefile|justfile|CMakeLists\.txt|Taskfile\.ya?ml)", r"\S", "a build file"),
    (BUILD_RECIPE, r"(?:.*/)?pyproject\.toml", r"(?m)^[ \t]*\[\s*build-system\s*\]|backend-path", "a Python project whose installation runs its build backend"),
    (BUILD_RECIPE, r"(?:.*/)?\.pre-commit-config\.yaml", r"\brepo:", "hooks that pre-commit fetches and runs"),
    (BUILD_RECIPE, r"(?i)(?:.*/)?[\w-]*requirements[\w-]*\.txt|(?:.*/)?requirements/.*\.txt",
     r"(?m)^[ \t]*(?:-i|--index-url|--extra-index-url|-f|--find-links|--trusted-host|-e|--editable)\b|^[^#\n]*(?:@\s*|\b)(?:git|hg|svn|bzr)?\+?(?:https?|ssh|file)://",
     "requirements from elsewhere than the package index"),
    (BUILD_RECIPE, r"(?:.*/)?(?:docker-)?compose(?:\.[\w-]+)*\.ya?ml", r"(?m)^[ \t]*(?:services|image|build|command)\s*:", "containers to start"),
    (BUILD_RECIPE, r"(?:.*/)?\.github/(?:workflows|actions)/.*\.ya?ml|(?:.*/)?(?:\.gitlab-ci|\.travis|\.drone|\.appveyor|appveyor|azure-pipelines|bitbucket-pipelines|cloudbuild)\.ya?ml"
     r"|(?:.*/)?\.(?:circleci|buildkite|woodpecker)/.*\.ya?ml|(?:.*/)?Jenkinsfile", r"\S", "a pipeline that a code host runs"),
    (BUILD_RECIPE, r"(?:.*/)?(?:Rakefile|Vagrantfile|Justfile|Snakefile|SConstruct|WORKSPACE(?:\.bazel)?|MODULE\.bazel|BUILD\.bazel|meson\.build|build\.gradle(?:\.kts)?|noxfile\.py"
     r"|(?:flake|shell|default)\.nix|\.tiltfile|Tiltfile)", r"\S", "a build file"),
    (BUILD_RECIPE, r"(?:.*/)?(?:pytest|tox)\.ini", r"(?m)^[ \t]*commands\w*\s*=|\s-p\s*(?!no:)\w", "settings of a test runner that name what it runs"),
    (BUILD_RECIPE, r"(?:.*/)?setup\.cfg", r"(?m)^[ \t]*\[\s*(?:options|bdist\w*|build\w*|easy_install|install)\b", "a Python project whose installation follows it"),
    (BUILD_RECIPE, r"(?:.*/)?(?:environment|conda)[\w.-]*\.ya?ml|(?:.*/)?Pipfile", r"\b(?:git|hg|svn|bzr)\+|\b(?:git|path|url)\s*=\s*[\"']|https?://(?!(?:repo|conda)\.anaconda\.(?:com|org)|pypi\.org)|file://",
     "an environment with packages from elsewhere than the package index"),
    (BUILD_RECIPE, r"(?i)(?:.*/)?(?:pip\.(?:conf|ini)|uv\.toml|\.condarc|\.mambarc|\.npmrc|\.yarnrc(?:\.yml)?|\.pypirc|bunfig\.toml|\.pip/pip\.conf)",
     r"(?im)^[ \t\"'-]*(?:(?:extra[-_])?index(?:[-_]url)?|find[-_]links|trusted[-_]host|(?:[\w@/:.-]+:)?(?:npm)?registry(?:server)?|(?:default_)?channels|channel_alias|repository|url)\s*[:=]",
     "settings of a package manager that say where packages come from"),
    (BUILD_RECIPE, r"(?:.*/)?(?:[\w-]+\.)?Modelfile(?:\.[\w-]+)?", r"(?im)^[ \t]*(?:FROM|ADAPTER|SYSTEM|TEMPLATE|MESSAGE)\b", "a recipe of Ollama, with a system prompt and a template of its own"),
    (PAGE_SCRIPT, r"(?i).*\.(?:svg|html?|xhtml|xml)", r"(?i)<\s*script\b|javascript:|\bon(?:load|error|click|mouseover|begin)\s*=|<\s*(?:foreignObject|iframe|object|embed)\b", "a page with a script"),
)  # fmt: skip
"""Rule, pattern for the path, pattern for the content, and what it is."""
