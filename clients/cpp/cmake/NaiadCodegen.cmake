# naiad_codegen(TARGET PIPELINE [HEADER] [WEIGHTS PATH])
#
# Write the header with a pipeline's types when TARGET is built, for `#include <naiad/HEADER>`.
# PIPELINE is an argument of `naiad serve`, such as nugraph3 or my_model.py:MyModel; HEADER is
# PIPELINE.hpp by default. WEIGHTS names a pipeline's weights, on which the tensors of some depend,
# such as nugraph3 with weights of 2026. Needs the command `naiad`, from the active virtual environment or
# -DNAIAD_COMMAND=...; without it, -DNAIAD_HEADERS=FOLDER names a folder whose naiad/HEADER was
# written elsewhere.
function(naiad_codegen target pipeline)
  cmake_parse_arguments(PARSE_ARGV 2 given "" WEIGHTS "")
  set(header ${given_UNPARSED_ARGUMENTS})
  set(weights)
  if(given_WEIGHTS)
    get_filename_component(path "${given_WEIGHTS}" ABSOLUTE)
    set(weights --weights ${path})
  endif()
  if(NOT header)
    set(header ${pipeline}.hpp)
  endif()
  if(NAIAD_HEADERS)
    target_include_directories(${target} PRIVATE ${NAIAD_HEADERS})
    return()
  endif()
  find_package(Python3 QUIET COMPONENTS Interpreter)
  get_filename_component(bin "${Python3_EXECUTABLE}" DIRECTORY)
  find_program(NAIAD_COMMAND naiad HINTS ${bin} REQUIRED)
  set(folder ${CMAKE_CURRENT_BINARY_DIR}/${target}-headers)
  add_custom_command(
    OUTPUT ${folder}/naiad/${header}
    COMMAND ${NAIAD_COMMAND} codegen cpp ${pipeline} ${weights} --force -o ${folder}/naiad/${header}
    WORKING_DIRECTORY ${CMAKE_CURRENT_SOURCE_DIR}
    COMMENT "Writing naiad/${header} from the schema of ${pipeline}"
    VERBATIM)
  target_sources(${target} PRIVATE ${folder}/naiad/${header})
  target_include_directories(${target} PRIVATE ${folder})
endfunction()
