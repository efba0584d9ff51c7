#!/bin/sh
# Prints the entries behind the cursor it is given, one a line, and follows them if asked to. Fails with `status`.
cd "${0%/*}" || exit
echo "$*" >>arguments
behind=0 follow=
for argument; do
  case $argument in
    --after-cursor=*) behind=${argument#--after-cursor=c} ;;
    --follow) follow=-f ;;
  esac
done
if [ -e status ]; then
  echo "no journal here" >&2
  exit "$(cat status)"
fi
exec tail $follow -n "+$((behind + 1))" entries
