# SPDX-License-Identifier: LGPL-2.1-or-later
# Debian's packages of any release, from where this machine has its own. Sourced by commands of ./dev.

# The repository that this machine's apt has Debian from.
debian_mirror() {
    apt-get indextargets --format '$(LABEL) $(COMPONENT) $(REPO_URI)' 'Created-By: Packages' |
        sed -n 's/^Debian main //p' | head -n 1
}

# private_apt RELEASE COMMAND...: apt-get for a Debian release with a configuration of its own, below
# ./apt: the system's is left as it is, and no right of root is needed. COMMAND update comes first.
private_apt() {
    local release=$1 mirror apt=$PWD/apt
    shift
    mirror=$(debian_mirror)
    if [ -z "$mirror" ]; then
        echo "apt knows no Debian repository (apt-get update?); or put the packages that are" \
            "wanted of $release into $PWD yourself" >&2
        return 1
    fi
    mkdir -p "$apt/lists/partial" "$apt/cache/archives/partial" "$apt/sources"
    cat >"$apt/sources/debian.sources" <<END
Types: deb deb-src
URIs: $mirror
Suites: $release
Components: main
Signed-By: /usr/share/keyrings/debian-archive-keyring.gpg
END
    apt-get -q -o Dir::Etc::SourceList=/dev/null -o "Dir::Etc::SourceParts=$apt/sources" \
        -o "Dir::State::Lists=$apt/lists" -o "Dir::Cache=$apt/cache" \
        -o "APT::Sandbox::User=$(id -un)" -o "APT::Default-Release=$release" "$@"
}
