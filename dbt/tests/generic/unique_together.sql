{# Fails for every combination of the columns that more than one row has. #}
{% test unique_together(model, columns, only_recomputed_hours=false) %}

select {{ columns | join(', ') }}, count(*) as found
from {{ model }}
where {{ in_replaced_hours() if only_recomputed_hours else 'true' }}
group by {{ columns | join(', ') }}
having count(*) > 1

{% endtest %}
